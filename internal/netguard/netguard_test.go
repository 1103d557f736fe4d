package netguard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/netguard"
)

func prefixes(ss ...string) (out []netip.Prefix) {
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Every literal address, judged by the zero Policy. Nothing is dialled.
func TestBuiltInRefusals(t *testing.T) {
	t.Parallel()
	refused := map[string][]string{
		"unspecified": {
			"0.0.0.0", "::", "0.1.2.3", "::ffff:0.0.0.0", "64:ff9b::", "2002::", "::ffff:0:0:0", "0.255.255.255",
		},
		"link-local": {
			"169.254.0.1", "169.254.169.254", "169.254.170.2", "169.254.169.123", "169.254.255.255",
			"fe80::1", "fe80::1%eth0", "febf::ffff", "fe80::a9fe:a9fe",
			"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "0:0:0:0:0:ffff:169.254.169.254", "::ffff:169.254.169.254%eth0",
			"::169.254.169.254", "::a9fe:a9fe",
			"::ffff:0:169.254.169.254",
			"64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe",
			"64:ff9b:1::169.254.169.254", "64:ff9b:1:abcd:0:1234:a9fe:a9fe",
			"64:ff9b:1:a9fe:a9:fe00::",      // a /48 prefix
			"64:ff9b:1:ffa9:fe:a9fe::",      // a /56 prefix
			"64:ff9b:1:ffff:a9:fea9:fe00::", // a /64 prefix
			"2002:a9fe:a9fe::", "2002:a9fe:a9fe::1", "2002:a9fe:a9fe:1:2:3:4:5",
			"2001:0:a9fe:a9fe::ffff", "2001:0:808:808:0:0:5601:5601",
		},
		"multicast": {
			"224.0.0.1", "224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::1", "ff02::fb", "ff05::1:3", "ff0e::1",
			"ff01::1", "::ffff:224.0.0.1", "::ffff:255.255.255.255", "64:ff9b::255.255.255.255", "2002:e000:1::",
		},
		"metadata": {
			"100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
			"fd00:0ec2:0000:0000:0000:0000:0000:0254",
			"::ffff:100.100.100.200", "::ffff:192.0.0.192", "::ffff:168.63.129.16", "::168.63.129.16",
			"64:ff9b::100.100.100.200", "64:ff9b::c000:c0", "64:ff9b:1::168.63.129.16",
			"2002:6464:64c8::", "2002:c000:00c0::1", "2002:a83f:8110::", "2001:0:a83f:8110::ffff:ffff", "2001::6464:64c8:0:0:57c0:7eef",
		},
	}
	n := 0
	var p netguard.Policy
	for why, list := range refused {
		for _, s := range list {
			n++
			err := p.Check(netip.MustParseAddr(s))
			if !errors.Is(err, netguard.ErrRefused) || !strings.Contains(err.Error(), why) {
				t.Errorf("Check(%s) = %v, want it refused as %s", s, err, why)
			}
			if err := p.CheckHost(s); !errors.Is(err, netguard.ErrRefused) {
				t.Errorf("CheckHost(%s) = %v, want it refused", s, err)
			}
			if err := p.Control("tcp", net.JoinHostPort(s, "443"), nil); !errors.Is(err, netguard.ErrRefused) {
				t.Errorf("Control(%s) = %v, want it refused", s, err)
			}
		}
	}
	for _, s := range []string{
		"127.0.0.1", "127.255.255.254", "::1", "::1%lo", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fc00::1",
		"8.8.8.8", "1.1.1.1", "2606:4700::1111", "2001:4860:4860::8888", "198.18.0.1", "240.0.0.1", "192.0.0.191", "168.63.129.15",
		"fd00:ec2::255", "fd20:ce::253", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "64:ff9b:1::1.2.3.4",
		"2002:808:808::1", "2001:0:808:808::f7f7:f7f7", "169.253.255.255", "169.255.0.0", "223.255.255.255", "fec0::1",
	} {
		n++
		if err := p.Check(netip.MustParseAddr(s)); err != nil {
			t.Errorf("Check(%s) = %v, want it allowed", s, err)
		}
	}
	if n < 80 {
		t.Errorf("%d addresses, want at least 80", n)
	}
	if err := p.Check(netip.Addr{}); !errors.Is(err, netguard.ErrRefused) {
		t.Errorf("the zero address: %v, want it refused", err)
	}
}

// What getaddrinfo or net/http would read as an address is judged as one.
func TestHostSpellings(t *testing.T) {
	t.Parallel()
	var p netguard.Policy
	for _, host := range []string{
		"169.254.169.254.", "169.254.43518", "169.16689662", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0xa9.254.0xa9fe",
		"0251.0376.0251.0376", "025177524776", "169.254.0251.0xfe", "0XA9FEA9FE", "0", "0.0", "0x0", "00.0.0.0", "0x",
		"[fe80::1]", "[::ffff:169.254.169.254]", "fe80::1%25eth0", "169.254.169.254%eth0", " 169.254.169.254",
		"１６９.２５４.１６９.２５４", "169。254。169。254", "169．254．169．254", "169｡254｡169｡254", "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
		"𝟏𝟔𝟗.𝟐𝟓𝟒.𝟏𝟔𝟗.𝟐𝟓𝟒", "¹⁶⁹.²⁵⁴.¹⁶⁹.²⁵⁴", "₁₆₉.₂₅₄.₁₆₉.₂₅₄", "０ｘａ９ｆｅａ９ｆｅ", "⓪ⓧⓐ⑨ⓕⓔⓐ⑨ⓕⓔ", "0𝐱𝐚9𝐟𝐞𝐚9𝐟𝐞", "169\u200b.254.169.254",
		"100.100.25800", "0xa83f8110", "4294967295",
	} {
		if err := p.CheckHost(host); !errors.Is(err, netguard.ErrRefused) {
			t.Errorf("CheckHost(%q) = %v, want it refused", host, err)
		}
	}
	for _, host := range []string{
		"localhost", "127.0.0.1", "127.1", "0x7f.1", "2130706433", "[::1]", "::1", "10.1.2.3", "api.example", "example.com.", "x169.254.169.254",
		"169.254.169.254.example", "1.2.3.4.5", "256.1", "0x100.1", "08.8.8.8", "4294967296", "169.254.65536", "", ".", "1..2", "+1.2.3.4", "-1",
		"пример.example", "169-254-169-254.example",
	} {
		if err := p.CheckHost(host); err != nil {
			t.Errorf("CheckHost(%q) = %v, want it allowed", host, err)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	deny := netguard.Policy{Deny: prefixes("10.0.0.0/8", "fd00::/8", "::ffff:127.0.0.0/104")}
	for s, refused := range map[string]bool{
		"10.0.0.1": true, "::ffff:10.0.0.1": true, "64:ff9b::10.0.0.1": true, "2002:a00:1::": true, "fd12::1": true, "11.0.0.1": false,
		"127.0.0.1": true, "::1": false, "169.254.169.254": true,
	} {
		if err := deny.Check(netip.MustParseAddr(s)); (err != nil) != refused {
			t.Errorf("with a deny list: Check(%s) = %v", s, err)
		}
	}
	allow := netguard.Policy{Allow: prefixes("10.0.0.0/8", "169.254.0.0/16", "::ffff:192.168.0.0/112"), Deny: prefixes("10.9.0.0/16")}
	for s, refused := range map[string]bool{
		"10.0.0.1": false, "::ffff:10.0.0.1": false, "10.9.0.1": true, "192.168.3.4": false, "192.169.0.1": true, "127.0.0.1": true, "::1": true,
		"8.8.8.8": true, "169.254.169.254": true, "169.254.1.1": true, "64:ff9b::10.0.0.1": true,
	} {
		if err := allow.Check(netip.MustParseAddr(s)); (err != nil) != refused {
			t.Errorf("with an allow list: Check(%s) = %v", s, err)
		}
	}
	everything := netguard.Policy{Allow: prefixes("0.0.0.0/0", "::/0")}
	for _, s := range []string{"169.254.169.254", "fd00:ec2::254", "0.0.0.0", "64:ff9b::a9fe:a9fe"} {
		if everything.Check(netip.MustParseAddr(s)) == nil {
			t.Errorf("an allow list lifted the refusal of %s", s)
		}
	}
}

func TestControlRefusesOddTargets(t *testing.T) {
	t.Parallel()
	var p netguard.Policy
	for _, c := range [][2]string{
		{"udp", "127.0.0.1:53"}, {"unix", "/run/x.sock"}, {"ip", "127.0.0.1"}, {"tcp", "localhost:80"}, {"tcp", ""}, {"tcp", "127.0.0.1"},
	} {
		if err := p.Control(c[0], c[1], nil); !errors.Is(err, netguard.ErrRefused) {
			t.Errorf("Control(%s, %s) = %v, want it refused", c[0], c[1], err)
		}
	}
	if err := p.Control("tcp6", "[::1]:80", nil); err != nil {
		t.Errorf("Control of loopback: %v", err)
	}
}

// A name that leads to a refused address is refused by the dialer itself: the
// address is judged after the name has been resolved.
func TestDialerJudgesWhatANameLeadsTo(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	// Loopback stands for the forbidden target, so that nothing else is dialled.
	d := net.Dialer{Control: netguard.Policy{Deny: prefixes("127.0.0.0/8", "::1/128")}.Control}
	c, err := d.DialContext(context.Background(), "tcp", net.JoinHostPort("localhost", port))
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, netguard.ErrRefused) {
		t.Fatalf("dial: %v, want it refused", err)
	}
}

func TestErrorsCarryNoAddress(t *testing.T) {
	t.Parallel()
	p := netguard.Policy{Deny: prefixes("10.0.0.0/8")}
	for _, host := range []string{"169.254.169.254", "10.11.12.13", "fe80::1%secretzone", "100.100.100.200"} {
		err := p.CheckHost(host)
		if err == nil || strings.Contains(err.Error(), host) || strings.Contains(err.Error(), "zone") {
			t.Errorf("CheckHost: %v", err)
		}
	}
}

func FuzzCheckHost(f *testing.F) {
	for _, s := range []string{"127.1", "0xa9fea9fe", "fe80::1%25eth0", "１６９.２５４.１６９.２５４", "[::1]", "a.b.c.d"} {
		f.Add(s)
	}
	var p netguard.Policy
	f.Fuzz(func(t *testing.T, host string) {
		err := p.CheckHost(host)
		// What Go's own parser takes for an address must be judged as that one.
		if a, perr := netip.ParseAddr(host); perr == nil && (p.Check(a) == nil) != (err == nil) {
			t.Errorf("CheckHost and Check disagree on %q", host)
		}
	})
}
