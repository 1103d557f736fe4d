package transport

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// maxInline is the largest held body that goes out with the head. The kernel
// takes as much without waiting for the other side to read.
const maxInline = 16 << 10

// An output is what is written at once.
type output struct{ b []byte }

var outputs = sync.Pool{New: func() any { return &output{b: make([]byte, 0, 2<<10)} }}

func getOutput() *output { return outputs.Get().(*output) }

// release gives the output back. It is not ours any more.
func (o *output) release() {
	if cap(o.b) <= 2*maxInline {
		o.b = o.b[:0]
		outputs.Put(o)
	}
}

// ours are the headers that are not taken from a request's Header: they frame
// the message, or concern the connection only.
func ours(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Expect",
		"Connection", "Keep-Alive", "Proxy-Connection", "Upgrade":
		return true
	}
	return false
}

// head writes the head of a request, unless something in it would make another
// request of it. A proxy that is given the request is told where it goes.
func (o *output) head(req *http.Request, via *Egress) error {
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) {
		return fmt.Errorf("%w: its method is not a token", errBadRequest)
	}
	b := append(o.b, method...)
	b = append(b, ' ')
	start := len(b)
	forwarded := via.proxied() && req.URL.Scheme == "http"
	if forwarded {
		b = append(b, "http://"...)
		b = append(b, req.URL.Host...)
	}
	path := req.URL.EscapedPath()
	if path == "" || path[0] != '/' {
		b = append(b, '/')
	}
	b = append(b, path...)
	if req.URL.ForceQuery || req.URL.RawQuery != "" {
		b = append(b, '?')
		b = append(b, req.URL.RawQuery...)
	}
	for _, c := range b[start:] {
		if c <= ' ' || c == 0x7f {
			return fmt.Errorf("%w: its URL has a character that must be escaped", errBadRequest)
		}
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	start = len(b)
	if req.Host != "" {
		b = append(b, req.Host...)
	} else {
		b = append(b, req.URL.Host...)
	}
	for _, c := range b[start:] {
		if c <= ' ' || c >= 0x7f || c == '/' || c == '@' || c == ',' {
			return fmt.Errorf("%w: its host is not one", errBadRequest)
		}
	}
	b = append(b, "\r\n"...)
	if forwarded {
		if a := via.authorization(); a != "" {
			b = append(b, "Proxy-Authorization: "...)
			b = append(b, a...)
			b = append(b, "\r\n"...)
		}
	}

	// In a fixed order: what is sent does not differ without reason.
	var space [32]string
	names := space[:0]
	for name := range req.Header {
		if ours(name) {
			continue
		}
		i := len(names)
		names = append(names, name)
		for ; i > 0 && names[i-1] > name; i-- {
			names[i] = names[i-1]
		}
		names[i] = name
	}
	for _, name := range names {
		if !isToken(name) {
			return fmt.Errorf("%w: the name of a header is not a token", errBadRequest)
		}
		for _, value := range req.Header[name] {
			if !isFieldValue(value) {
				return fmt.Errorf("%w: the header %s has a character that no header has", errBadRequest, name)
			}
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	switch n := bodyLength(req); {
	case n > 0, n == 0 && (method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch):
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, n, 10)
		b = append(b, "\r\n"...)
	case n < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	o.b = append(b, "\r\n"...)
	return nil
}

// bodyLength returns the length of a request's body; -1 is unknown.
func bodyLength(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case req.ContentLength > 0:
		return req.ContentLength
	}
	return -1 // zero with a body means so, too
}

// inline adds the body to the head, if it is held and small.
func (o *output) inline(req *http.Request) (done bool, err error) {
	n := bodyLength(req)
	if n < 0 || n > maxInline || n > 0 && req.GetBody == nil {
		return false, nil
	}
	if n == 0 {
		return true, nil
	}
	start := len(o.b)
	o.b = append(o.b, make([]byte, n)...) // the compiler makes nothing
	got, err := io.ReadFull(req.Body, o.b[start:])
	if err != nil {
		if got < int(n) && (err == io.ErrUnexpectedEOF || err == io.EOF) { //nolint:errorlint // ReadFull returns them bare
			err = errShortBody
		}
		return true, err
	}
	return true, ended(req.Body)
}

// ended checks that a body has come to its end.
func ended(body io.Reader) error {
	var b [1]byte
	for range 100 {
		n, err := body.Read(b[:])
		switch {
		case n > 0:
			return errLongBody
		case err == io.EOF: //nolint:errorlint // readers return it bare
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // it was for reading
	}
}

// isToken reports whether s is a token of RFC 9110.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokens[s[i]] {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s can be the value of a header.
func isFieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// tokens are the characters of a token.
var tokens = func() (t [256]bool) {
	const all = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for i := range len(all) {
		t[all[i]] = true
	}
	return t
}()
