// Package upstream describes how the API of a vendor is spoken: where its
// endpoints are, how a credential is shown, what its refusals mean, and what an
// error looks like to its clients.
//
// A [Dialect] is a plain value; the packages below this one make one each. It
// knows URLs, credentials and bytes: nothing of users, tokens or configuration.
// Dialects are immutable and may be used concurrently.
package upstream

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A Dialect is the API of one vendor, as spoken by anyone.
type Dialect struct {
	// Name names the dialect.
	Name string
	// BasePath is what goes between a provider's base URL and the path after
	// /v1: "" where the base URL includes /v1, "/v1" where it does not.
	BasePath string
	// Versions are the versions of the API, which clients name in front of all
	// paths. They are part of what goes after the base URL then, and Endpoints
	// are the same in all. Nil is v1 alone, which is not part of it.
	Versions []string
	// CredentialHeader is the header that carries the key, in canonical form,
	// and CredentialPrefix what stands before the key in it.
	CredentialHeader string
	CredentialPrefix string
	// Endpoints are the endpoints of inference. All other paths are passed
	// through only for those who may.
	Endpoints []Endpoint
	// Sockets are the endpoints of inference that are WebSockets.
	Sockets []Endpoint
	// Claims reports whether a request to the path after /v1 (or to nothing we
	// know, if it is empty) can only have come from a client of this dialect. It
	// is asked when the provider does not settle the matter.
	Claims func(path string, h http.Header) bool
	// Classify says what a response of status 400 or above means. The body may
	// be cut short, and is empty if it could not be read.
	Classify func(status int, body []byte) Verdict
	// Limits are the rate limits that headers tell of, and ParseReset reads the
	// value of one of their Reset headers: how long it is from now; zero if that
	// is past, or makes no sense.
	Limits     []Limit
	ParseReset func(value string, now time.Time) time.Duration
	// WaitIn, if not nil, reads out of the body of a rate limit how long it asks to
	// wait, for vendors that do not say it in a header; zero if it does not say.
	WaitIn func(body []byte) time.Duration
	// RefuseQuery, if not nil, reports whether a raw query would do what a request
	// must not: choose a credential or an account, or another form of the answer.
	RefuseQuery func(query string) bool
	// LimitsByModel is set where rate limits are for each model by itself.
	LimitsByModel bool
	// ProbePath, ProbeQuery and ProbeHeader are a GET that costs nothing, and that
	// only a key that is accepted is answered with success; with ProbeBody it is a
	// POST. ProbeAsksWrong is set where the probe is wrong in itself, and to be told
	// so shows that the key is accepted.
	ProbePath, ProbeQuery string
	ProbeHeader           http.Header
	ProbeBody             []byte
	ProbeAsksWrong        bool
	// AppendError appends the body of an error to dst.
	AppendError func(dst []byte, e Error) []byte

	// Prepare, if not nil, makes what is sent out of a request, in the place of
	// URL and SetCredential: for upstreams that are reached in another way than
	// their clients speak. It is given the whole body if the endpoint has a model in
	// it, and may be given none else. What is wrong with the request itself is a
	// [RequestError].
	// Where there is no credential to send it with, it is a [CredentialError].
	Prepare func(context.Context, *Outgoing) error
	// Answer, if not nil, makes what the client is sent out of a response, in
	// place. It wraps the body and does not read it, but for errors and other
	// small ones. [http.Response.Request] is what was sent.
	Answer func(*http.Response) error
}

// An Outgoing is a request on its way up.
type Outgoing struct {
	Method string
	// Base is the provider's base URL, Endpoint what is asked for (nil is
	// passthrough), Path the raw path after /v1/ and Query the raw query.
	Base        *url.URL
	Endpoint    *Endpoint
	Path, Query string
	// Key is the provider's key; zero if it has none.
	Key secret.Text
	// Access is what the dialect knows of the provider: of a type of its own.
	Access any
	Now    time.Time

	// URL is where it goes. Header and Body are what came, less what does not
	// pass; Prepare changes the first in place and puts another in the place of
	// the second.
	URL    *url.URL
	Header http.Header
	Body   []byte

	// Presented is what Prepare put into the headers that must not be shown to
	// anybody, if it is not Key. Refused, if Prepare sets it, is for telling that the
	// upstream did not take a credential that is not Key.
	Presented secret.Text
	Refused   func()
}

// A RequestError is a request that the upstream has no place for. Its message is
// for the client, and quotes nothing.
type RequestError struct {
	Status  int
	Message string
}

func (e *RequestError) Error() string { return e.Message }

// A CredentialError is a request for which there is no credential at the moment,
// where the provider has to get one first.
type CredentialError struct{}

func (*CredentialError) Error() string { return "no credential to send the request with" }

// An Endpoint is one method and path.
type Endpoint struct {
	// Name is what logs and records call it.
	Name string
	// Method is the HTTP method.
	Method string
	// Path is what follows /v1/. A "*" in its last segment stands for the name of
	// a model: any one segment or, if more follows the "*", what comes before that.
	Path string
	// BodyModel is set where the body is JSON with a top-level "model".
	BodyModel bool
	// Socket is set for a WebSocket. QueryModel is set where the query names the
	// model; where it does not, the messages do.
	Socket, QueryModel bool
}

// PathModel reports whether the path names the model.
func (e *Endpoint) PathModel() bool { return strings.IndexByte(e.Path, '*') >= 0 }

// ModelIn returns the name of the model in a raw path of the endpoint, as it is
// written there.
func (e *Endpoint) ModelIn(path string) string {
	prefix, suffix, _ := strings.Cut(e.Path, "*")
	return strings.TrimSuffix(strings.TrimPrefix(path, prefix), suffix)
}

func (e *Endpoint) match(path string) bool {
	prefix, suffix, wild := strings.Cut(e.Path, "*")
	if !wild {
		return path == e.Path
	}
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return false
	}
	rest, ok = strings.CutSuffix(rest, suffix)
	if !ok || rest == "" || strings.IndexByte(rest, '/') >= 0 {
		return false
	}
	// What is before a suffix must not be able to have one too, of which a vendor
	// could make the operation.
	return suffix == "" || !strings.ContainsAny(rest, ":%")
}

// Endpoint returns the endpoint of inference that serves method and path, the
// raw path after /v1/, or nil.
func (d *Dialect) Endpoint(method, path string) *Endpoint {
	for i := range d.Endpoints {
		if e := &d.Endpoints[i]; e.Method == method && e.match(path) {
			return e
		}
	}
	return nil
}

// URL returns where a request for the raw path after /v1/ goes.
func (d *Dialect) URL(base *url.URL, path, query string) (*url.URL, error) {
	raw := base.EscapedPath() + d.BasePath + "/" + path
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return nil, errBadPath
	}
	// With RawPath, what is sent is the path as it was written.
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: decoded, RawPath: raw, RawQuery: query}, nil
}

// Probe returns a request that shows whether a key is accepted at base, by a
// provider of that access. The zero key is none.
func (d *Dialect) Probe(ctx context.Context, base *url.URL, access any, key secret.Text, now time.Time) (*http.Request, error) {
	o := Outgoing{
		Method: http.MethodGet, Base: base, Path: d.ProbePath, Query: d.ProbeQuery, Header: d.ProbeHeader.Clone(), Body: d.ProbeBody,
		Key: key, Access: access, Now: now,
	}
	if len(o.Body) > 0 {
		o.Method = http.MethodPost
	}
	if o.Header == nil {
		o.Header = http.Header{}
	}
	o.Endpoint = d.Endpoint(o.Method, o.Path)
	o.Header.Set("Accept", "application/json")
	o.Header.Set("User-Agent", "gatehouse")
	if err := d.prepare(ctx, &o); err != nil {
		return nil, err
	}
	req := (&http.Request{
		Method: o.Method, URL: o.URL, Host: o.URL.Host, Header: o.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	o.Attach(req)
	return req, nil
}

func (d *Dialect) prepare(ctx context.Context, o *Outgoing) (err error) {
	if d.Prepare != nil {
		return d.Prepare(ctx, o)
	}
	if !o.Key.IsZero() {
		d.SetCredential(o.Header, o.Key)
	}
	o.URL, err = d.URL(o.Base, o.Path, o.Query)
	return err
}

// Attach makes the body that of a request.
func (o *Outgoing) Attach(req *http.Request) {
	if len(o.Body) == 0 {
		return
	}
	req.ContentLength = int64(len(o.Body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(o.Body)), nil }
	req.Body, _ = req.GetBody() // it never fails
}

// SetCredential puts key into h.
func (d *Dialect) SetCredential(h http.Header, key secret.Text) {
	h[d.CredentialHeader] = []string{d.CredentialPrefix + key.Reveal()}
}

// An Error is what a client is told when the gateway itself answers.
type Error struct {
	Status int
	// Code is the machine-readable code, for dialects that have one. It may be
	// empty.
	Code string
	// Message is for people.
	Message string
	// RetryAfter is when to come again; zero does not say.
	RetryAfter time.Duration
	// RequestID is the gateway's id of the request.
	RequestID string
}
