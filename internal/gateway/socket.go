package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/websocket"
)

// A socket is what a request has more of that asks for a WebSocket.
type socket struct {
	key       string // of the client
	upKey     string // sent upstream: another for each attempt
	protocols []string
	counted   bool // in g.sockets
}

// An upgrader is a transport that can make WebSockets of requests, as that of
// package transport.
type upgrader interface {
	Upgrade(req *http.Request, protocol string, via *transport.Egress) (*http.Response, *transport.Tunnel, error)
}

// socketEndpoint returns the endpoint that a request for a WebSocket is for, or
// nil if it is for none, or cannot be one.
func (x *exchange) socketEndpoint(d *upstream.Dialect, path string) *upstream.Endpoint {
	upgrade := x.r.Header["Upgrade"]
	if _, ok := x.g.cfg.Transport.(upgrader); !ok || x.r.Method != http.MethodGet || x.r.ProtoMajor != 1 || x.r.ProtoMinor == 0 ||
		len(upgrade) != 1 || !strings.EqualFold(strings.TrimSpace(upgrade[0]), "websocket") || !nominated(x.r.Header["Connection"], "upgrade") {
		return nil
	}
	for i := range d.Sockets {
		if d.Sockets[i].Path == path {
			return &d.Sockets[i]
		}
	}
	return nil
}

// Subprotocols by which clients that cannot set headers, as browsers, give what
// others do in headers. The first is a credential, and the next two choose an
// account.
const (
	protocolKey          = "openai-insecure-api-key."
	protocolOrganization = "openai-organization."
	protocolProject      = "openai-project."
)

// protocols are the subprotocols that pass. A "*" at the end stands for any
// ending.
var protocols = newHeaderSet([]string{"realtime", "openai-beta.*", "openai-agents-sdk.*"})

// offered returns the subprotocols that a request offers.
func offered(h http.Header) (list []string) {
	for _, v := range h["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(v, ",") {
			list = append(list, strings.TrimSpace(p))
		}
	}
	return list
}

// admitSocket decides on a request for a WebSocket, as far as can be before a
// message has come.
func (x *exchange) admitSocket() *refusal {
	h := x.r.Header
	key := h["Sec-Websocket-Key"]
	switch {
	case len(h["Sec-Websocket-Version"]) != 1 || h["Sec-Websocket-Version"][0] != "13", len(key) != 1 || !websocket.ValidKey(key[0]),
		x.r.ContentLength != 0, len(x.r.TransferEncoding) > 0:
		return badSocket
	case foreign(h["Origin"], x.r.Host):
		return foreignOrigin
	}
	x.socket = &socket{key: key[0]}
	for _, p := range offered(h) {
		if protocols.has(p) && !slices.Contains(x.socket.protocols, p) {
			x.socket.protocols = append(x.socket.protocols, p)
		}
	}
	if !x.endpoint.QueryModel {
		return nil // each message is looked at, if need be
	}
	values, err := url.ParseQuery(x.r.URL.RawQuery)
	model := values.Get("model")
	x.rec.Model = printable(model)
	switch list := x.modelList(); {
	case list == nil:
		return nil
	case err != nil, len(values) != 1, len(values["model"]) != 1:
		return list.unknowable
	}
	return x.admitModel(model)
}

// foreign reports whether a page of another origin asks. Pages cannot read what
// the gateway answers to plain requests of theirs, since it allows that none; no
// rule of browsers keeps them from WebSockets.
func foreign(origins []string, host string) bool {
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, host) {
			return true
		}
	}
	return false
}

// ask puts the handshake into the headers of an attempt.
func (s *socket) ask(h http.Header) {
	s.upKey = websocket.NewKey()
	h["Sec-Websocket-Version"] = []string{"13"}
	h["Sec-Websocket-Key"] = []string{s.upKey}
	if len(s.protocols) > 0 {
		h["Sec-Websocket-Protocol"] = []string{strings.Join(s.protocols, ", ")}
	}
}

// agreed reports whether the head of an answer is that of a WebSocket as it was
// asked for. No extension was.
func (s *socket) agreed(h http.Header) bool {
	chosen := h["Sec-Websocket-Protocol"]
	return len(h["Sec-Websocket-Accept"]) == 1 && h["Sec-Websocket-Accept"][0] == websocket.Accept(s.upKey) && len(h["Sec-Websocket-Extensions"]) == 0 &&
		(len(chosen) == 0 || len(chosen) == 1 && slices.Contains(s.protocols, chosen[0]))
}

// roundTrip sends an attempt's request.
func (x *exchange) roundTrip(req *http.Request) (*http.Response, *transport.Tunnel, error) {
	if x.socket == nil {
		res, err := x.g.roundTrip(x.provider, req)
		return res, nil, err
	}
	return x.g.cfg.Transport.(upgrader).Upgrade(req, "websocket", x.provider.Egress)
}

// noSocket reports whether an answer says that there is no WebSocket to be had
// here, in whatever words.
func (x *exchange) noSocket(status int) bool {
	return x.socket != nil && (status < 400 || status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented)
}
