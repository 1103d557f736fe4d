package transport

import (
	"net/url"
	"strings"
	"sync"
)

// A host is what connections are kept by.
type host struct {
	tls  bool
	name string // as in the URL, with a port if it has one
	via  egressID
}

// hostOf returns the host of a URL. It is false for one that http.Transport
// had better see to, which also knows how to refuse it.
func hostOf(u *url.URL) (host, bool) {
	if u == nil || u.Host == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
		return host{}, false
	}
	for i := 0; i < len(u.Host); i++ {
		// Names of other letters are mapped, and zones are cut off.
		if c := u.Host[i]; c <= ' ' || c >= 0x7f || c == '%' || c == '/' || c == '@' {
			return host{}, false
		}
	}
	return host{tls: u.Scheme == "https", name: u.Host}, true
}

// address returns what to dial, and the name that a certificate must have.
func (h host) address() (addr, server string) {
	u := url.URL{Host: h.name}
	server = u.Hostname()
	port := u.Port()
	if port == "" {
		port = "80"
		if h.tls {
			port = "443"
		}
	}
	if strings.Contains(server, ":") {
		return "[" + server + "]:" + port, server
	}
	return server + ":" + port, server
}

// maxHosts bounds a hostSet.
const maxHosts = 1024

// A hostSet remembers hosts. When it is full it forgets them all, which costs a
// handshake each.
type hostSet struct {
	mu sync.RWMutex
	m  map[host]bool
}

func (s *hostSet) has(h host) bool {
	if !h.tls {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[h]
}

func (s *hostSet) add(h host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil || len(s.m) >= maxHosts {
		s.m = map[host]bool{}
	}
	s.m[h] = true
}
