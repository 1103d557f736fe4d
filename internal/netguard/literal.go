package netguard

import (
	"net/netip"
	"strconv"
	"strings"
)

// literal returns the address that host spells, if it spells one.
//
// Go's own resolver knows the canonical forms only and looks everything else up
// as a name. With cgo, and on macOS and Windows always, the question goes to
// the system, whose getaddrinfo also takes the forms of inet_aton: 127.1,
// 0x7f.0.0.1, 017700000001, 2130706433. And net/http maps a host that is not
// ASCII through IDNA first, which turns full-width and other decorated digits
// into plain ones.
func literal(host string) (netip.Addr, bool) {
	host = fold(host)
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	// An IPv4 address has no zone, but some parsers cut one off.
	if i := strings.IndexByte(host, '%'); i >= 0 {
		host = host[:i]
	}
	return inetAton(strings.TrimSuffix(strings.TrimSpace(host), "."))
}

// inetAton parses the forms of inet_aton(3): one to four numbers, each decimal,
// octal (0…) or hexadecimal (0x…), the last one filling what is left.
func inetAton(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, ok := number(part, bits)
		if !ok {
			return netip.Addr{}, false
		}
		v = v<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

func number(s string, bits int) (uint64, bool) {
	base := 10
	switch {
	case len(s) > 1 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'):
		s, base = s[2:], 16
		if s == "" { // "0x" alone is zero to some C libraries
			return 0, true
		}
	case len(s) > 1 && s[0] == '0':
		base = 8
	}
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "-") {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, bits)
	return n, err == nil
}

// fold maps the characters that IDNA turns into those of an address.
func fold(host string) string {
	for i := 0; i < len(host); i++ {
		if host[i] >= 0x80 {
			return strings.Map(foldRune, host)
		}
	}
	return host
}

func foldRune(r rune) rune {
	switch {
	case r == 0x3002 || r == 0xFF0E || r == 0xFF61: // full stops
		return '.'
	case r >= 0xFF01 && r <= 0xFF5E: // full-width ASCII
		return r - 0xFF01 + '!'
	case r == 0x00B2 || r == 0x00B3: // superscript 2, 3
		return r - 0x00B2 + '2'
	case r == 0x00B9: // superscript 1
		return '1'
	case r == 0x2070 || r >= 0x2074 && r <= 0x2079: // superscript 0, 4 to 9
		return r - 0x2070 + '0'
	case r >= 0x2080 && r <= 0x2089: // subscript digits
		return r - 0x2080 + '0'
	case r >= 0x2460 && r <= 0x2468: // circled 1 to 9
		return r - 0x2460 + '1'
	case r == 0x24EA: // circled 0
		return '0'
	case r >= 0x24B6 && r <= 0x24CF: // circled A to Z
		return r - 0x24B6 + 'a'
	case r >= 0x24D0 && r <= 0x24E9: // circled a to z
		return r - 0x24D0 + 'a'
	case r >= 0x1D7CE && r <= 0x1D7FF: // mathematical digits, five styles
		return (r-0x1D7CE)%10 + '0'
	case r >= 0x1D400 && r <= 0x1D6A3: // mathematical letters, in runs of 52
		if n := (r - 0x1D400) % 52; n < 26 {
			return n + 'a'
		} else {
			return n - 26 + 'a'
		}
	case r >= 0x1FBF0 && r <= 0x1FBF9: // segmented digits
		return r - 0x1FBF0 + '0'
	case r == 0x00AD || r == 0x200B || r == 0x2060 || r == 0xFEFF || r >= 0xFE00 && r <= 0xFE0F: // ignored by IDNA
		return -1
	}
	return r
}
