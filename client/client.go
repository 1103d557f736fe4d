package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

const (
	// maxAnswer is the largest answer that is read, in bytes.
	maxAnswer = 32 << 20
	// answerWithin is how long the default HTTP client waits for an answer.
	answerWithin = time.Minute
)

// A Client talks to one server with one token. Make it with [New].
type Client struct {
	base  string // without a trailing slash
	token secret.Text
	http  *http.Client
	agent string
}

// An Option changes how a [Client] works.
type Option func(*Client)

// WithHTTPClient makes the client send its requests through hc, which is
// copied. The default waits a minute for an answer. Redirects are not followed
// in either case.
func WithHTTPClient(hc *http.Client) Option {
	return func(c *Client) { c.http = new(*hc) }
}

// WithUserAgent sets the User-Agent header. The default is
// "gatehouse-client".
func WithUserAgent(agent string) Option {
	return func(c *Client) { c.agent = agent }
}

// New returns a client of the server at baseURL, such as
// "http://127.0.0.1:8090", that presents token with each request.
func New(baseURL, token string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("the server's URL must be http:// or https:// and a host")
	case u.User != nil, u.RawQuery != "" || u.ForceQuery, u.Fragment != "":
		return nil, errors.New("the server's URL must have no user, query or fragment")
	}
	for _, b := range []byte(token) {
		if b <= ' ' || b > '~' {
			return nil, errors.New("the token has a space or an unprintable character in it")
		}
	}
	c := &Client{
		base:  strings.TrimRight(u.String(), "/"),
		token: secret.New(token),
		http:  &http.Client{Timeout: answerWithin},
		agent: "gatehouse-client",
	}
	for _, o := range opts {
		o(c)
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

// URL returns the URL of the server, without a trailing slash.
func (c *Client) URL() string { return c.base }

// ServerVersion says which program the server is.
func (c *Client) ServerVersion(ctx context.Context) (Version, error) {
	return call[Version](ctx, c, http.MethodGet, "/api/v1/version", 0, nil)
}

// call sends one request, with body as JSON unless it is nil, and decodes the
// answer. A revision other than 0 makes the request conditional on it.
func call[Out any](ctx context.Context, c *Client, method, path string, revision int64, body any) (Out, error) {
	var out Out
	answer, err := c.send(ctx, method, path, revision, body)
	if err != nil {
		return out, err
	}
	if json.Unmarshal(answer.body, &out) != nil {
		// What it could not decode may hold a secret, so its error goes no further.
		return *new(Out), answer.foreign()
	}
	return out, nil
}

// remove sends a DELETE.
func (c *Client) remove(ctx context.Context, path string, revision int64) error {
	return c.done(ctx, http.MethodDelete, path, revision)
}

// done sends a request that is answered with 204 and no body.
func (c *Client) done(ctx context.Context, method, path string, revision int64) error {
	answer, err := c.send(ctx, method, path, revision, nil)
	if err == nil && answer.status != http.StatusNoContent {
		return answer.foreign()
	}
	return err
}

func (c *Client) send(ctx context.Context, method, path string, revision int64, body any) (answer, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, errors.New("encode the request: a part of it is not valid JSON")
		}
		r = bytes.NewReader(b)
	}
	req, err := c.request(ctx, method, path, r)
	if err != nil {
		return answer{}, err
	}
	if revision != 0 {
		req.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(revision, 10)))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("reach %s: %w", c.base, reason(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or the read failed
	return c.read(resp)
}

// request makes a request with JSON as its body, unless that is nil.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", reason(err))
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.agent)
	if !c.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// read reads an answer, and makes an error of a refusal.
func (c *Client) read(resp *http.Response) (answer, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	if len(b) > maxAnswer {
		return answer{}, fmt.Errorf("read the answer of %s: it is longer than %d MiB", c.base, maxAnswer>>20)
	}
	a := answer{status: resp.StatusCode, body: b}
	a.mediaType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type")) // "" says enough
	if a.status < 200 || a.status > 299 {
		return answer{}, a.refusal()
	}
	return a, nil
}

// reason returns err without the method and URL that net/http puts before it.
func reason(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
