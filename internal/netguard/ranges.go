package netguard

import "net/netip"

var (
	// A connection to 0.0.0.0 reaches the machine itself on Linux; the rest of
	// the network means nothing as a destination (RFC 1122, 3.2.1.3).
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	broadcast   = netip.MustParseAddr("255.255.255.255")

	// 169.254.169.254 and its neighbours are link-local and refused as such.
	metadataServices = []netip.Prefix{
		netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
		netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
		netip.MustParsePrefix("168.63.129.16/32"),   // Azure host agent
		netip.MustParsePrefix("fd00:ec2::254/128"),  // AWS
		netip.MustParsePrefix("fd00:ec2::23/128"),   // AWS, credentials of EKS pods
		netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud
	}

	v4Compatible = netip.MustParsePrefix("::/96")
	v4Translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	nat64        = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local   = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour    = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo       = netip.MustParsePrefix("2001::/32")       // RFC 4380
)

// embedded calls judge with each IPv4 address that a carries and that a
// translator or tunnel would send the packets to. IPv4-mapped addresses are not
// among them: they are IPv4 addresses.
func embedded(a netip.Addr, judge func(netip.Addr)) {
	if a.Is4() {
		return
	}
	b := a.As16()
	at := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	switch {
	case v4Compatible.Contains(a):
		if !a.IsLoopback() {
			judge(at(12, 13, 14, 15))
		}
	case v4Translated.Contains(a), nat64.Contains(a):
		judge(at(12, 13, 14, 15))
	case nat64Local.Contains(a):
		// The operator chooses how long the prefix is, and with it where the
		// address sits (RFC 6052, 2.2; byte 8 is always zero). What lies in
		// 0.0.0.0/8 is padding of another layout, unless all of it does.
		found := false
		for _, v4 := range []netip.Addr{at(12, 13, 14, 15), at(6, 7, 9, 10), at(7, 9, 10, 11), at(9, 10, 11, 12)} {
			if !thisNetwork.Contains(v4) {
				judge(v4)
				found = true
			}
		}
		if !found {
			judge(netip.IPv4Unspecified())
		}
	case sixToFour.Contains(a):
		judge(at(2, 3, 4, 5))
	case teredo.Contains(a):
		judge(at(4, 5, 6, 7)) // the server
		judge(netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
}
