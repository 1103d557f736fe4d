package bedrock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockbedrock"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/bedrock"
)

const region = "eu-central-1"

var (
	pair    = secret.New("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	bearer  = secret.New("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl")
	limited = secret.New("AKIDLIMITED:secret/of+the+limited")
	dialect = bedrock.Dialect()
)

// ask sends one request to Bedrock as the gateway does.
func ask(t *testing.T, base string, key secret.Text, o upstream.Outgoing) *http.Response {
	t.Helper()
	o.Base, o.Key, o.Now = mustParse(base), key, time.Now()
	if o.Method == "" {
		o.Method = http.MethodPost
	}
	if o.Header == nil {
		o.Header = http.Header{"Content-Type": {"application/json"}, "Anthropic-Version": {"2023-06-01"}}
	}
	if o.Path == "" {
		o.Path = "messages"
	}
	if o.Access == nil {
		o.Access = &bedrock.Access{Region: region}
	}
	o.Endpoint = dialect.Endpoint(o.Method, o.Path)
	if err := dialect.Prepare(context.Background(), &o); err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Method: o.Method, URL: o.URL, Host: o.URL.Host, Header: o.Header, Body: io.NopCloser(bytes.NewReader(o.Body)), ContentLength: int64(len(o.Body))}
	res, err := http.DefaultTransport.RoundTrip(req.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() }) // the test has read what it wanted
	if err := dialect.Answer(res); err != nil {
		t.Fatal(err)
	}
	return res
}

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// services returns Anthropic's API and Bedrock, with the same mock behind each.
func services(t *testing.T) (direct, amazon string, behind *mockupstream.Upstream) {
	t.Helper()
	cfg := mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{pair: {Label: "pair"}, bearer: {Label: "bearer"}, limited: {Label: "limited", Behaviour: mockupstream.RateLimited}},
		Now:  func() time.Time { return time.Unix(1_800_000_000, 0) },
	}
	a, behind := httptest.NewServer(mockupstream.New(cfg)), mockupstream.New(cfg)
	b := httptest.NewServer(&mockbedrock.Bedrock{Behind: behind, Region: region, Keys: []secret.Text{pair, bearer, limited}})
	t.Cleanup(a.Close)
	t.Cleanup(b.Close)
	return a.URL, b.URL, behind
}

const question = `{"model":"anthropic.claude-x-v1:0","max_tokens":100,"messages":[{"role":"user","content":"say \"é\" twice"}]%s}`

// What comes out of Bedrock is, to the byte, what Anthropic's API answers.
func TestAnswersAreAnthropics(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, path, body string
	}{
		{"whole", "messages", fmt.Sprintf(question, "")},
		{"streamed", "messages", fmt.Sprintf(question, `,"stream":true`)},
		{"counted", "messages/count_tokens", fmt.Sprintf(question, "")},
	} {
		for _, native := range []bool{false, true} {
			for name, key := range map[string]secret.Text{"signed": pair, "bearer": bearer} {
				t.Run(fmt.Sprint(tc.name, " ", name, " native=", native), func(t *testing.T) {
					t.Parallel()
					direct, amazon, behind := services(t)
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, direct+"/v1/"+tc.path, strings.NewReader(tc.body))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("X-Api-Key", key.Reveal())
					req.Header.Set("Anthropic-Version", "2023-06-01")
					res, err := http.DefaultTransport.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					defer res.Body.Close()
					want := text(t, res)
					if native {
						amazon += "/anthropic"
					}
					got := ask(t, amazon, key, upstream.Outgoing{Path: tc.path, Body: []byte(tc.body)})
					if s := text(t, got); s != want || got.StatusCode != 200 {
						t.Errorf("%d\n%s\nwant\n%s", got.StatusCode, s, want)
					}
					if a, b := res.Header.Get("Content-Type"), got.Header.Get("Content-Type"); !strings.HasPrefix(b, strings.Split(a, ";")[0]) {
						t.Errorf("it is %s, want %s", b, a)
					}
					if n := len(behind.Requests()); n != 1 {
						t.Errorf("%d requests arrived", n)
					}
				})
			}
		}
	}
}

func TestCredentialsAreHeldToTheRequest(t *testing.T) {
	t.Parallel()
	_, amazon, behind := services(t)
	body := []byte(fmt.Sprintf(question, ""))
	for name, tc := range map[string]struct {
		key    secret.Text
		access bedrock.Access
		status int
		kind   string
	}{
		"another secret":       {secret.New("AKIDEXAMPLE:not the secret"), bedrock.Access{Region: region}, 401, "authentication_error"},
		"an unknown key":       {secret.New("AKIDOTHER:secret"), bedrock.Access{Region: region}, 401, "authentication_error"},
		"another region":       {pair, bedrock.Access{Region: "us-east-1"}, 401, "authentication_error"},
		"an unknown bearer":    {secret.New("ABSKother"), bedrock.Access{Region: region}, 403, "permission_error"},
		"none":                 {secret.Text{}, bedrock.Access{Region: region}, 401, "authentication_error"},
		"one that has to wait": {limited, bedrock.Access{Region: region}, 429, "rate_limit_error"},
	} {
		t.Run(name, func(t *testing.T) {
			res := ask(t, amazon, tc.key, upstream.Outgoing{Body: bytes.Clone(body), Access: &tc.access})
			s := text(t, res)
			if res.StatusCode != tc.status || gjson.Get(s, "error.type").Str != tc.kind || gjson.Get(s, "type").Str != "error" {
				t.Errorf("got %d %s", res.StatusCode, s)
			}
		})
	}
	if n := len(behind.Requests()); n != 1 { // the one that has to wait
		t.Errorf("%d requests got through", n)
	}
	// A secret that is put right counts at once.
	if res := ask(t, amazon, pair, upstream.Outgoing{Body: bytes.Clone(body)}); res.StatusCode != 200 {
		t.Errorf("the right secret after a wrong one: %d %s", res.StatusCode, text(t, res))
	}
	// The pair of the settings serves where there is no key.
	if res := ask(t, amazon, secret.Text{}, upstream.Outgoing{Body: bytes.Clone(body), Access: &bedrock.Access{Region: region, Pair: pair}}); res.StatusCode != 200 {
		t.Errorf("with the pair of the settings: %d %s", res.StatusCode, text(t, res))
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status             int
		exception, message string
		want               upstream.Verdict
	}{
		{429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", upstream.RateLimited},
		{400, "ServiceQuotaExceededException", "", upstream.RateLimited},
		{403, "UnrecognizedClientException", "The security token included in the request is invalid.", upstream.Refused},
		{403, "ExpiredTokenException", "", upstream.Refused},
		{403, "InvalidSignatureException", "", upstream.Refused},
		{403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.", upstream.Refused},
		{403, "AccessDeniedException", "You don't have access to the model with the specified model ID.", upstream.NotPermitted},
		{400, "ValidationException", "The provided model identifier is invalid.", upstream.ClientError},
		{404, "ResourceNotFoundException", "", upstream.ClientError},
		{429, "ModelNotReadyException", "", upstream.Unavailable},
		{424, "ModelErrorException", "", upstream.Unavailable},
		{408, "ModelTimeoutException", "", upstream.Unavailable},
		{500, "InternalServerException", "", upstream.Unavailable},
		{503, "ServiceUnavailableException", "", upstream.Unavailable},
		{502, "", "", upstream.Unavailable},
	} {
		res := &http.Response{
			StatusCode: tc.status, Header: http.Header{"X-Amzn-Errortype": {tc.exception + ":http://internal.amazon.com/"}},
			Body: io.NopCloser(strings.NewReader(fmt.Sprintf(`{"message":%q}`, tc.message))), Request: &http.Request{URL: &url.URL{}},
		}
		if err := dialect.Answer(res); err != nil {
			t.Fatal(err)
		}
		body := text(t, res)
		if got := dialect.Classify(res.StatusCode, []byte(body)); got != tc.want {
			t.Errorf("%s %q: verdict %d, want %d: %d %s", tc.exception, tc.message, got, tc.want, res.StatusCode, body)
		}
		if !gjson.Valid(body) || gjson.Get(body, "error.message").Str != tc.message {
			t.Errorf("%s: the body is %s", tc.exception, body)
		}
	}
}

// An error that names the account of the provider is the provider's business.
func TestAccountsAreNotShown(t *testing.T) {
	t.Parallel()
	res := &http.Response{
		StatusCode: 403, Header: http.Header{"X-Amzn-Errortype": {"AccessDeniedException"}}, Request: &http.Request{URL: &url.URL{}},
		Body: io.NopCloser(strings.NewReader(`{"Message":"User: arn:aws:iam::123456789012:user/ann is not authorized to perform: bedrock:InvokeModel"}`)),
	}
	if err := dialect.Answer(res); err != nil {
		t.Fatal(err)
	}
	if body := text(t, res); res.StatusCode != 403 || strings.Contains(body, "123456789012") || !strings.Contains(body, "permission_error") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// What Bedrock has no place for is said to the client, and nothing is sent.
func TestWhatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"a list of models", "GET", "models", "", 404},
		{"another path", "POST", "files", "{}", 404},
		{"no JSON", "POST", "messages", `{"model":"x"`, 400},
		{"no object", "POST", "messages", `["model"]`, 400},
		{"no model", "POST", "messages", `{"max_tokens":1}`, 400},
		{"a model that is no text", "POST", "messages", `{"model":7}`, 400},
		{"a model that is a path", "POST", "messages", `{"model":".."}`, 400},
		{"two models", "POST", "messages", `{"model":"a","model":"b"}`, 400},
		{"two models, one escaped", "POST", "messages", `{"model":"a","mode\u006c":"b"}`, 400},
		{"anything twice", "POST", "messages", `{"model":"a","messages":[],"messages":[]}`, 400},
	} {
		o := upstream.Outgoing{
			Method: tc.method, Path: tc.path, Endpoint: dialect.Endpoint(tc.method, tc.path), Body: []byte(tc.body),
			Base: mustParse("http://127.0.0.1:1"), Access: &bedrock.Access{Region: region}, Header: http.Header{}, Now: time.Now(), Key: pair,
		}
		err := dialect.Prepare(context.Background(), &o)
		bad, ok := errors.AsType[*upstream.RequestError](err)
		if !ok || bad.Status != tc.status {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	o := upstream.Outgoing{Base: mustParse("http://127.0.0.1:1"), Header: http.Header{}}
	if err := dialect.Prepare(context.Background(), &o); err == nil || errors.As(err, new(*upstream.RequestError)) {
		t.Errorf("a provider without a region: %v", err)
	}
}

// prepared returns what is sent for a request.
func prepared(t *testing.T, base, body string, h http.Header, a bedrock.Access) upstream.Outgoing {
	t.Helper()
	o := upstream.Outgoing{
		Method: "POST", Path: "messages", Endpoint: dialect.Endpoint("POST", "messages"), Body: []byte(body), Header: h,
		Base: mustParse(base), Access: &a, Now: time.Now(), Key: pair,
	}
	if err := dialect.Prepare(context.Background(), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestModelsAndPaths(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2"
	for _, tc := range []struct {
		base, asked, model, small, want string
	}{
		{"https://h", "anthropic.claude-x-v1:0", "", "", "/model/anthropic.claude-x-v1%3A0/invoke"},
		{"https://h", "claude-sonnet-4-5", "eu.anthropic.big-v1:0", "eu.anthropic.small-v1:0", "/model/eu.anthropic.big-v1%3A0/invoke"},
		{"https://h", "claude-HAIKU-4-5", "eu.anthropic.big-v1:0", "eu.anthropic.small-v1:0", "/model/eu.anthropic.small-v1%3A0/invoke"},
		{"https://h/vpce", "x", arn, "", "/vpce/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2/invoke"},
		{"https://h", "../../secret", "", "", "/model/..%2F..%2Fsecret/invoke"},
		{"https://h/anthropic", "claude-x", "big", "", "/anthropic/v1/messages"},
	} {
		o := prepared(t, tc.base, fmt.Sprintf(`{"model":%q,"a":[1, 2]}`, tc.asked), http.Header{}, bedrock.Access{Region: region, Model: tc.model, SmallFastModel: tc.small})
		if got := o.URL.EscapedPath(); got != tc.want {
			t.Errorf("%s: the path is %s, want %s", tc.asked, got, tc.want)
		}
		if strings.HasSuffix(tc.base, "/anthropic") && string(o.Body) != `{"model":"big","a":[1, 2]}` {
			t.Errorf("the body is %s", o.Body)
		}
	}
}

// All but the members that Bedrock does not take stays as it was written.
func TestBodies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		betas      []string
		want       string
	}{
		{"the model and stream go", `{ "model":"m", "max_tokens" : 1 ,"stream":true,"x":{"model":"in","stream":1.50}}`, nil,
			`{"max_tokens":1,"x":{"model":"in","stream":1.50},"anthropic_version":"bedrock-2023-05-31"}`},
		{"a version stays", `{"anthropic_version":"bedrock-2023-05-31","model":"m"}`, nil, `{"anthropic_version":"bedrock-2023-05-31"}`},
		{"betas come together, once each", `{"model":"m","anthropic_beta":["a-1","b-2"]}`, []string{"b-2, c-3", "oauth-2025-04-20,prompt-caching-scope-2026-01-05"},
			`{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b-2","c-3","a-1"]}`},
		{"no beta is left", `{"model":"m"}`, []string{"fast-mode-2026-02-01"}, `{"anthropic_version":"bedrock-2023-05-31"}`},
	} {
		h := http.Header{"Anthropic-Version": {"2023-06-01"}, "Accept-Encoding": {"gzip"}}
		if tc.betas != nil {
			h["Anthropic-Beta"] = tc.betas
		}
		o := prepared(t, "https://h", tc.body, h, bedrock.Access{Region: region})
		if string(o.Body) != tc.want {
			t.Errorf("%s: %s\nwant %s", tc.name, o.Body, tc.want)
		}
		for _, gone := range []string{"Anthropic-Beta", "Anthropic-Version", "Accept-Encoding"} {
			if h.Get(gone) != "" {
				t.Errorf("%s: %s goes along", tc.name, gone)
			}
		}
	}
}

// The example of AWS's own documentation would do, if it were of this service:
// this one was worked out by the second implementation, and must not change.
func TestSignatureKnownAnswer(t *testing.T) {
	t.Parallel()
	o := upstream.Outgoing{
		Method: "POST", Path: "messages", Endpoint: dialect.Endpoint("POST", "messages"), Body: []byte(`{"model":"anthropic.claude-x-v1:0"}`), Header: http.Header{},
		Base: mustParse("https://bedrock-runtime.eu-central-1.amazonaws.com"), Access: &bedrock.Access{Region: region}, Now: time.Unix(1_800_000_000, 0), Key: pair,
	}
	if err := dialect.Prepare(context.Background(), &o); err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: o.Method, URL: o.URL, Host: o.URL.Host, Header: o.Header, Body: io.NopCloser(bytes.NewReader(o.Body)), ContentLength: int64(len(o.Body))}
	w := httptest.NewRecorder()
	reached := false
	(&mockbedrock.Bedrock{
		Behind: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), Region: region, Keys: []secret.Text{pair}, Now: func() time.Time { return o.Now },
	}).ServeHTTP(w, r)
	if !reached {
		t.Errorf("the signature does not hold: %d %s", w.Code, w.Body)
	}
	for _, name := range []string{"content-type", "host", "x-amz-date"} {
		if !strings.Contains(o.Header.Get("Authorization"), name) {
			t.Errorf("%s is not signed: %s", name, o.Header.Get("Authorization"))
		}
	}
}
