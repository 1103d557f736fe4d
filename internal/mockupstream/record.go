package mockupstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A Request is what the upstream saw of one request.
type Request struct {
	Time   time.Time
	Method string
	// Path is as it was sent, escapes and all. Query has no question mark.
	Path, Query string
	// Header is as it was sent, but for the values of the headers in
	// Credentials, which are redacted.
	Header http.Header
	// Credentials are the values of Authorization, X-Api-Key, X-Goog-Api-Key,
	// Proxy-Authorization and Cookie, whole.
	Credentials map[string][]secret.Text
	// BodySHA256 is in hexadecimal.
	BodySHA256 string
	BodySize   int64
	// Key is the label of the key that was presented, "" for an unknown one.
	Key string
	// Status is what is about to be answered, 0 for nothing ([Stall]).
	Status int
	// Usage is what the answer says was used, zero if it does not say. Of an
	// answer that breaks off ([Reset]) it is what the whole would have said.
	Usage Usage
}

// credentialHeaders may carry a secret.
func credentialHeaders() []string {
	return []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Proxy-Authorization", "Cookie"}
}

func newRequest(r *http.Request, body body, label string, rep reply, now time.Time) Request {
	req := Request{
		Time: now, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Header: r.Header.Clone(), Credentials: map[string][]secret.Text{},
		BodySHA256: body.sum, BodySize: body.size, Key: label, Status: rep.status, Usage: rep.usage,
	}
	for _, name := range credentialHeaders() {
		for i, value := range req.Header[name] {
			req.Credentials[name] = append(req.Credentials[name], secret.New(value))
			req.Header[name][i] = secret.Redacted
		}
	}
	return req
}

// Requests returns what the upstream was sent, oldest first, as far as it
// remembers.
func (u *Upstream) Requests() []Request { return u.record.list() }

// record keeps the newest requests.
type record struct {
	keep int

	mu   sync.Mutex
	seen []Request // up to twice keep, so that dropping is cheap
}

func (rec *record) add(req Request) {
	if rec.keep <= 0 {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.seen) >= 2*rec.keep {
		n := copy(rec.seen, rec.seen[len(rec.seen)-rec.keep:])
		clear(rec.seen[n:])
		rec.seen = rec.seen[:n]
	}
	rec.seen = append(rec.seen, req)
}

func (rec *record) list() []Request {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return slices.Clone(rec.seen[max(0, len(rec.seen)-max(0, rec.keep)):])
}

// maxKept is how much of a body is held. More is hashed, counted and dropped.
const maxKept = 16 << 20

// A body is a request's body, read to its end.
type body struct {
	bytes []byte // the first maxKept of it
	sum   string
	size  int64
}

// readBody reads into buf, which the body's bytes then share.
func readBody(r *http.Request, buf *bytes.Buffer, hashed bool) (body, error) {
	var b body
	buf.Reset()
	var sum hash.Hash
	var src io.Reader = r.Body
	if hashed {
		sum = sha256.New()
		src = io.TeeReader(r.Body, sum)
	}
	if 0 < r.ContentLength && r.ContentLength <= maxKept {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := io.Copy(buf, io.LimitReader(src, maxKept))
	if err == nil {
		b.size, err = io.Copy(io.Discard, src)
		b.size += n
	}
	if err != nil {
		return body{}, err
	}
	b.bytes = buf.Bytes()
	if hashed {
		b.sum = hex.EncodeToString(sum.Sum(nil))
	}
	return b, nil
}
