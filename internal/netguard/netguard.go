// Package netguard decides which network addresses may be dialled.
//
// A [Policy] refuses what no provider can be behind and what an attacker would
// aim at: link-local networks, cloud metadata services, unspecified, multicast
// and broadcast addresses. Nothing lifts these refusals, and hiding such an
// IPv4 address inside an IPv6 one does not get round them. Loopback and private
// addresses are allowed, since local models are normal.
//
// [Policy.Control] is the guarantee: it judges each address at the moment it is
// dialled, whatever name led to it, so that a name that changes its answer
// between check and use gains nothing. [Policy.CheckHost] is a courtesy for
// configuration forms: it refuses early what could never be dialled.
//
// A Policy is a plain value; its methods may be called concurrently.
package netguard

import (
	"errors"
	"net/netip"
	"syscall"
)

// ErrRefused is what every refusal wraps. Refusals say why, and carry neither
// the host nor the address.
var ErrRefused = errors.New("address refused")

// refusal is a kind of address that may not be dialled.
type refusal string

func (r refusal) Error() string { return "address refused: " + string(r) }
func (r refusal) Unwrap() error { return ErrRefused }

const (
	invalid     refusal = "not an IP address"
	unspecified refusal = "it is an unspecified address"
	linkLocal   refusal = "it is a link-local address"
	multicast   refusal = "it is a multicast or broadcast address"
	metadata    refusal = "it belongs to a cloud metadata service"
	denied      refusal = "it is in a denied network"
	notAllowed  refusal = "it is outside the allowed networks"
	notTCP      refusal = "only TCP is allowed"
)

// A Policy says which addresses may be dialled. The zero Policy has the
// built-in refusals only.
type Policy struct {
	// Deny are further networks that are refused. An IPv4 network also covers
	// IPv6 addresses that carry one of its addresses.
	Deny []netip.Prefix
	// Allow, when it is not empty, are the only networks that are allowed. The
	// built-in refusals and Deny hold inside them too.
	Allow []netip.Prefix
}

// Check returns nil if a may be dialled, and an error that wraps [ErrRefused]
// if not.
func (p Policy) Check(a netip.Addr) error {
	if !a.IsValid() {
		return invalid
	}
	a = a.WithZone("").Unmap()
	if err := p.refuse(a); err != nil {
		return err
	}
	var err error
	embedded(a, func(v4 netip.Addr) {
		if err == nil {
			err = p.refuse(v4)
		}
	})
	if err != nil {
		return err
	}
	if len(p.Allow) > 0 && !within(p.Allow, a) {
		return notAllowed
	}
	return nil
}

// refuse judges a alone, without what may be embedded in it and without Allow.
func (p Policy) refuse(a netip.Addr) error {
	switch {
	case thisNetwork.Contains(a) || a.IsUnspecified():
		return unspecified
	case a.IsLinkLocalUnicast():
		return linkLocal
	case a.IsMulticast() || a == broadcast:
		return multicast
	case within(metadataServices, a):
		return metadata
	case within(p.Deny, a):
		return denied
	}
	return nil
}

// within reports whether one of the networks holds a. A network of IPv4-mapped
// addresses is taken as the IPv4 network it means.
func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// CheckHost judges the host of a URL. It refuses a literal address that
// [Policy.Check] refuses, in any spelling that some resolver would take for an
// address. A name passes: it is judged when it is dialled.
func (p Policy) CheckHost(host string) error {
	a, ok := literal(host)
	if !ok {
		return nil
	}
	return p.Check(a)
}

// Control is for [net.Dialer.Control]: it refuses the connection if the address
// about to be dialled may not be, or if it is not TCP.
func (p Policy) Control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return notTCP
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return invalid
	}
	return p.Check(ap.Addr())
}
