package httpapi

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/clientaddr"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// The cookies of a session. The prefix __Host- makes browsers take it over HTTPS
// alone, for this host alone. Over plain HTTP no browser takes one with the prefix,
// and some take none that is Secure, not even from the machine itself.
const (
	secureCookie = "__Host-gatehouse-session"
	plainCookie  = "gatehouse-session"
)

// A visit is what matters of a request for whoever signs in, or is signed in.
type visit struct {
	origin  store.Origin
	channel channel
	host    string // as the browser calls the server
	session string // what the browser presents, "" for nothing
	flow    string // likewise, of a sign-in at an identity provider on its way
}

// A channel is how safe a request is on its way.
type channel int

// The channels.
const (
	openChannel     channel = iota // anybody on the way can read it
	loopbackChannel                // it does not leave the machine
	secureChannel                  // TLS
)

func (a *api) visitOf(r *http.Request) visit {
	v := visit{
		origin: store.Origin{
			RequestID: info(r.Context()).id, Address: clientaddr.Of(r, a.TrustedProxies), UserAgent: clip(r.UserAgent(), 256),
		},
		channel: channelOf(r, a.TrustedProxies),
		host:    r.Host,
	}
	if name := v.cookieName(); name != "" {
		if c, err := r.Cookie(name); err == nil {
			v.session = c.Value
		}
		if c, err := r.Cookie(flowCookieName(v.channel)); err == nil {
			v.flow = c.Value
		}
	}
	return v
}

// cookieName returns the name of the cookie that counts, "" if none does.
func (v visit) cookieName() string {
	return map[channel]string{secureChannel: secureCookie, loopbackChannel: plainCookie}[v.channel]
}

// cookie returns the cookie with that value, for as long as the browser is to keep
// it; "" takes it away.
func (v visit) cookie(value string, until time.Time) *http.Cookie {
	c := &http.Cookie{
		Name: v.cookieName(), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: v.channel == secureChannel, Expires: until,
	}
	if value == "" {
		c.MaxAge, c.Expires = -1, time.Time{}
	}
	return c
}

// channelOf says how a request came. A reverse proxy with TLS must be trusted to be
// believed. One that is not, on this machine, must not pass for a browser on this
// machine: what it forwards has another origin or a mark of having been forwarded.
func channelOf(r *http.Request, trusted []netip.Prefix) channel {
	if r.TLS != nil {
		return secureChannel
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return openChannel
	}
	addr := peer.Addr().Unmap()
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
		for _, p := range trusted {
			if p.Contains(addr) && strings.EqualFold(proto, "https") {
				return secureChannel
			}
		}
		return openChannel
	}
	for _, mark := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(mark) != "" {
			return openChannel
		}
	}
	if !addr.IsLoopback() || !loopbackHost(r.Host) {
		return openChannel
	}
	if o := r.Header.Get("Origin"); o != "" {
		if u, err := url.Parse(o); err != nil || !loopbackHost(u.Host) {
			return openChannel
		}
	}
	return loopbackChannel
}

// loopbackHost reports whether a host, with a port or without, names the machine
// itself. Another name that leads there may be anybody's.
func loopbackHost(host string) bool {
	u := url.URL{Host: host}
	name := u.Hostname()
	if strings.EqualFold(name, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}

// needsTLS is the answer to whoever would sign in where others can listen.
var needsTLS = problem{
	Status: http.StatusForbidden,
	Detail: "signing in takes HTTPS, or else a browser on the machine of the server at http://localhost: here others could read what is sent. Give the server a certificate with --tls-cert and --tls-key; or put a reverse proxy with TLS before it that sends X-Forwarded-Proto: https, and name the proxy's address with --trusted-proxies",
}

// crossOrigin returns what tells requests of pages of this server, at publicURL or
// as it is called, from those of others.
func crossOrigin(publicURL string) *http.CrossOriginProtection {
	c := http.NewCrossOriginProtection()
	if u, err := url.Parse(publicURL); err == nil && u.Host != "" {
		_ = c.AddTrustedOrigin(u.Scheme + "://" + u.Host) // the settings are checked
	}
	return c
}

// sameOrigin refuses a request that changes something and that a page of another
// origin sent. With byBrowser, it must say where it is from: every browser does.
func (a *api) sameOrigin(r *http.Request, byBrowser bool) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	silent := r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == ""
	if a.cross.Check(r) != nil || byBrowser && silent {
		return problem{Status: http.StatusForbidden, Detail: "this request does not come from a page of this server: with a session, a change takes the header Sec-Fetch-Site: same-origin, or Origin with the host that is asked. Programs use a token. Behind a reverse proxy that changes Host, name the URL of the server with --public-url"}
	}
	return nil
}
