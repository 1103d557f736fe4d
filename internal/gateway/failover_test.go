package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

// A reply is what a scripted upstream says to one key.
type reply struct {
	status int
	body   string
	header http.Header
	reset  bool // close the connection without a word
}

// scripted returns an upstream that answers by the key that it is shown; a key
// without a reply is let in.
func scripted(replies map[string]reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		shown := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key")
		for id, a := range replies {
			if shown != key(id).Secret.Reveal() && (id != "" || shown != "") {
				continue
			}
			if a.reset {
				panic(http.ErrAbortHandler)
			}
			for k, v := range a.header {
				w.Header()[k] = v
			}
			w.WriteHeader(a.status)
			io.WriteString(w, a.body)
			return
		}
		io.WriteString(w, "welcome")
	}
}

const (
	openaiLimit   = `{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
	openaiQuota   = `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`
	openaiBadKey  = `{"error":{"message":"Incorrect API key provided: sk-up***789.","type":"invalid_request_error","code":"invalid_api_key"}}`
	openaiScope   = `{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: model.request.","type":"invalid_request_error","code":null}}`
	openaiModel   = "{\"error\":{\"message\":\"Project `p` does not have access to model `m`\",\"type\":\"invalid_request_error\",\"code\":\"model_not_found\"}}"
	openaiClosed  = `{"error":{"message":"Closed","type":"invalid_request_error","code":"account_deactivated"}}`
	anthropicPoor = `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`
)

// What moves on to the next key, and what becomes of the first.
func TestFailover(t *testing.T) {
	t.Parallel()
	const welcome = "welcome"
	for _, tc := range []struct {
		name    string
		dialect routing.Dialect
		first   reply
		status  int // what the client gets
		body    string
		outcome string
		state   string // of the first key, afterwards
		reason  keypool.Reason
		wait    time.Duration
	}{
		{"a rate limit cools", "openai", reply{status: 429, body: openaiLimit}, 200, welcome, "rate_limited", "cooling", keypool.RateLimited, 10 * time.Second},
		{"Retry-After in seconds", "openai", reply{status: 429, header: http.Header{"Retry-After": {"42"}}}, 200, welcome, "rate_limited", "cooling", keypool.RateLimited, 42 * time.Second},
		{"Retry-After as a date", "openai", reply{status: 429, header: http.Header{
			"Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}, "Retry-After": {"Sun, 01 Mar 2026 12:01:30 GMT"},
		}}, 200, welcome, "rate_limited", "cooling", keypool.RateLimited, 90 * time.Second},
		{"Retry-After without end", "anthropic", reply{status: 429, header: http.Header{"Retry-After": {"999999"}}}, 200, welcome, "rate_limited", "cooling", keypool.RateLimited, time.Hour},
		{"no quota fails", "openai", reply{status: 429, body: openaiQuota, header: http.Header{"Retry-After": {"1"}}}, 200, welcome, "insufficient_quota", "failed", keypool.QuotaExhausted, time.Minute},
		{"no quota, gzipped", "openai", reply{status: 429, body: gzipped(openaiQuota), header: http.Header{"Content-Encoding": {"gzip"}}}, 200, welcome, "insufficient_quota", "failed", keypool.QuotaExhausted, time.Minute},
		{"no credit fails", "anthropic", reply{status: 400, body: anthropicPoor}, 200, welcome, "insufficient_quota", "failed", keypool.QuotaExhausted, time.Minute},
		{"a wrong key fails", "openai", reply{status: 401, body: openaiBadKey}, 200, welcome, "key_refused", "failed", keypool.Unauthorized, time.Minute},
		{"a wrong key fails, Anthropic", "anthropic", reply{status: 401, body: "{}"}, 200, welcome, "key_refused", "failed", keypool.Unauthorized, time.Minute},
		{"payment fails", "anthropic", reply{status: 402}, 200, welcome, "key_refused", "failed", keypool.PaymentRequired, time.Minute},
		{"a closed account fails", "openai", reply{status: 403, body: openaiClosed}, 200, welcome, "key_refused", "failed", keypool.Forbidden, time.Minute},
		{"a model that this key may not use", "openai", reply{status: 403, body: openaiModel}, 200, welcome, "not_permitted", "ready", "", 0},
		{"a scope that this key lacks", "openai", reply{status: 401, body: openaiScope}, 200, welcome, "not_permitted", "ready", "", 0},
		{"500 moves on", "openai", reply{status: 500, body: "x"}, 200, welcome, "unavailable", "ready", "", 0},
		{"502 moves on", "openai", reply{status: 502}, 200, welcome, "unavailable", "ready", "", 0},
		{"503 moves on", "anthropic", reply{status: 503}, 200, welcome, "unavailable", "ready", "", 0},
		{"529 moves on", "anthropic", reply{status: 529, body: `{"type":"error","error":{"type":"overloaded_error"}}`}, 200, welcome, "unavailable", "ready", "", 0},
		{"408 moves on", "openai", reply{status: 408}, 200, welcome, "unavailable", "ready", "", 0},
		{"a lost connection moves on", "openai", reply{reset: true}, 200, welcome, "connection_lost", "ready", "", 0},
		{"400 is the client's", "openai", reply{status: 400, body: "mine"}, 400, "mine", "client_error", "ready", "", 0},
		{"404 is the client's", "anthropic", reply{status: 404, body: "mine"}, 404, "mine", "client_error", "ready", "", 0},
		{"409 is the client's", "openai", reply{status: 409, body: "mine"}, 409, "mine", "client_error", "ready", "", 0},
		{"413 is the client's", "anthropic", reply{status: 413, body: "mine"}, 413, "mine", "client_error", "ready", "", 0},
		{"422 is the client's", "openai", reply{status: 422, body: "mine"}, 422, "mine", "client_error", "ready", "", 0},
		{"403 for other reasons is the client's", "openai", reply{status: 403, body: "mine"}, 403, "mine", "client_error", "ready", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.upstream(tc.dialect, scripted(map[string]reply{"k1": tc.first}), key("k1"), key("k2"))
			a := h.do(h.request("POST", "/ai/"+p.Name+"/v1/x", `{"model":"m"}`))
			rec := h.record()
			if a.status != tc.status || a.body != tc.body {
				t.Errorf("got %d %q, want %d %q", a.status, a.body, tc.status, tc.body)
			}
			attempts := 1
			if tc.body == welcome {
				attempts = 2
			}
			if len(rec.Attempts) != attempts || rec.Attempts[0].KeyID != "k1" || rec.Attempts[0].Outcome != tc.outcome {
				t.Errorf("attempts are %+v", rec.Attempts)
			}
			want := keypool.State{Name: tc.state, Reason: tc.reason}
			if tc.wait > 0 {
				want.Until = h.clock().Add(tc.wait)
			}
			if got := h.pool.State(key("k1")); got != want {
				t.Errorf("the first key is %+v, want %+v", got, want)
			}
			if got := h.pool.State(key("k2")); got.Name != keypool.Ready {
				t.Errorf("the second key is %+v", got)
			}
		})
	}
}

// What the client is told when no key is left.
func TestWhenNoKeyIsLeft(t *testing.T) {
	t.Parallel()
	const ours = "" // an error of the gateway's own
	limit := func(seconds int) reply {
		return reply{status: 429, body: openaiLimit, header: http.Header{"Retry-After": {strconv.Itoa(seconds)}}}
	}
	for _, tc := range []struct {
		name       string
		replies    map[string]reply // by key: k1, k2, or "" for a provider without keys
		status     int
		body       string
		says       string
		retryAfter string
	}{
		{"all limited: the shortest wait", map[string]reply{"k1": limit(30), "k2": limit(20)}, 429, ours, "rate limited", "20"},
		{"refused and limited", map[string]reply{"k1": {status: 401}, "k2": limit(20)}, 429, ours, "rate limited", "20"},
		{"limited and refused", map[string]reply{"k1": limit(30), "k2": {status: 401}}, 429, ours, "rate limited", "30"},
		{"a server error and limited", map[string]reply{"k1": {status: 500}, "k2": limit(20)}, 429, ours, "rate limited", "1"},
		{"all refused", map[string]reply{"k1": {status: 401, body: openaiBadKey}, "k2": {status: 401, body: openaiBadKey}}, 502, ours, "No key that is configured", ""},
		{"one refused, one out of credit", map[string]reply{"k1": {status: 401}, "k2": {status: 429, body: openaiQuota}}, 502, ours, "no credit left", ""},
		{"a scope is missing everywhere", map[string]reply{"k1": {status: 401, body: openaiScope}, "k2": {status: 401, body: openaiScope}}, 502, ours, "No key", ""},
		{"a model is denied everywhere", map[string]reply{"k1": {status: 403, body: openaiModel}, "k2": {status: 403, body: openaiModel}}, 403, openaiModel, "", ""},
		{"the last server error as it came", map[string]reply{"k1": {status: 500, body: "first"}, "k2": {status: 529, body: "last", header: http.Header{"Retry-After": {"9"}}}}, 529, "last", "", "9"},
		{"limited, then a server error", map[string]reply{"k1": limit(30), "k2": {status: 503, body: "last"}}, 503, "last", "", ""},
		{"a timeout of the upstream's own", map[string]reply{"k1": {status: 408, body: "a"}, "k2": {status: 408, body: "b"}}, 408, "b", "", ""},
		{"all connections lost", map[string]reply{"k1": {reset: true}, "k2": {reset: true}}, 502, ours, "closed the connection", ""},
		{"a redirect", map[string]reply{"k1": {status: 307, header: http.Header{"Location": {"http://127.0.0.1:1/"}}}}, 502, ours, "base_url", ""},
		{"not modified", map[string]reply{"k1": {status: 304}}, 502, ours, "base_url", ""},

		{"without keys: limited", map[string]reply{"": limit(5)}, 429, ours, "rate limited", "5"},
		{"without keys: limited, no hint", map[string]reply{"": {status: 429}}, 429, ours, "rate limited", ""},
		{"without keys: refused", map[string]reply{"": {status: 401}}, 502, ours, "asks for a key", ""},
		{"without keys: a server error", map[string]reply{"": {status: 500, body: "x"}}, 500, "x", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			keys := []routing.Key{key("k1"), key("k2")}
			if _, none := tc.replies[""]; none {
				keys = nil
			}
			h.upstream(routing.OpenAI, scripted(tc.replies), keys...)
			a := h.chat()
			if a.status != tc.status || tc.body != ours && a.body != tc.body {
				t.Fatalf("got %d %q, want %d %q", a.status, a.body, tc.status, tc.body)
			}
			if tc.body == ours {
				if msg := a.message(t, routing.OpenAI); !strings.Contains(msg, tc.says) {
					t.Errorf("the message does not say %q: %s", tc.says, msg)
				}
			}
			if a.header.Get("Retry-After") != tc.retryAfter {
				t.Errorf("Retry-After is %q, want %q", a.header.Get("Retry-After"), tc.retryAfter)
			}
			if got, want := a.header.Get("X-Should-Retry"), tc.status == 502; (got == "false") != want {
				t.Errorf("x-should-retry is %q", got)
			}
			if strings.Contains(a.body, "sk-up") {
				t.Errorf("the answer shows something of the key: %s", a.body)
			}
			a.guarded(t)
		})
	}
}

// A key that is out is not asked, and is asked again when its time has come.
func TestKeysComeBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	replies := map[string]reply{"k1": {status: 401}}
	h.upstream(routing.OpenAI, scripted(replies), key("k1"), key("k2"))
	tried := func() (ids string) {
		h.chat()
		for _, a := range h.record().Attempts {
			ids += a.KeyID
		}
		return ids
	}
	for i, step := range []struct {
		pass time.Duration
		want string
	}{
		{0, "k1k2"}, {0, "k2"}, {59 * time.Second, "k2"}, {time.Second, "k1k2"}, {119 * time.Second, "k2"}, {time.Second, "k1k2"},
	} {
		h.advance(step.pass)
		if got := tried(); got != step.want {
			t.Errorf("step %d: tried %s, want %s", i, got, step.want)
		}
	}
	delete(replies, "k1")
	h.advance(4 * time.Minute)
	if got := tried(); got != "k1" || h.pool.Troubled() != 0 {
		t.Errorf("after it works again: tried %s, %d keys troubled", got, h.pool.Troubled())
	}
}

// An error that shows the key never reaches the client.
func TestAnErrorThatShowsTheKeyIsWithheld(t *testing.T) {
	t.Parallel()
	secret := key("k").Secret.Reveal()
	for name, r := range map[string]reply{
		"a client's mistake":     {status: 400, body: `{"error":"header authorization: Bearer ` + secret + `"}`},
		"not found":              {status: 404, body: secret},
		"a server error":         {status: 500, body: "<pre>" + secret + "</pre>"},
		"gzipped":                {status: 422, body: gzipped(secret), header: http.Header{"Content-Encoding": {"gzip"}}},
		"forbidden for a model":  {status: 403, body: `{"error":{"code":"model_not_found","message":"` + secret + `"}}`},
		"at the end of 64 KiB":   {status: 400, body: strings.Repeat("x", 64<<10-len(secret)) + secret},
		"in 64 KiB of much more": {status: 400, body: secret + strings.Repeat("x", 200<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.upstream(routing.Anthropic, scripted(map[string]reply{"k": r}), key("k"))
			a := h.do(h.request("POST", "/ai/anthropic/v1/messages", `{"model":"m"}`))
			if msg := a.message(t, routing.Anthropic); a.status != 502 || !strings.Contains(msg, "withheld") || strings.Contains(a.body, secret) {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if rec := h.record(); rec.Reason != "key_in_response" || rec.Attempts[0].Outcome != "key_in_response" {
				t.Errorf("recorded as %+v", rec)
			}
		})
	}
}

// Of a pair the second part is the secret.
func TestAnErrorThatShowsTheSecretOfAPairIsWithheld(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.upstream(routing.Anthropic, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, "your secret is the+secret/of/the/good")
	}, pairGood)
	if a := h.do(h.request("POST", "/ai/anthropic/v1/messages", `{"model":"m"}`)); a.status != 502 || strings.Contains(a.body, "of/the/good") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// A key that has to be escaped is one all the same.
func TestAnErrorThatShowsTheKeyEscapedIsWithheld(t *testing.T) {
	t.Parallel()
	const id = `/45+67=89"<&>\%41'abc`
	odd := key(id).Secret.Reveal()
	quote := func(s string, forHTML bool) string {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(forHTML)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(b.String(), "\n")
	}
	every := ""
	for _, c := range []byte(odd) {
		every += fmt.Sprintf(`\u%04X`, c)
	}
	for name, body := range map[string]string{
		"as it is":                   odd,
		"in JSON":                    quote(odd, false),
		"in JSON for HTML":           quote(odd, true),
		"in JSON in JSON":            quote(quote(odd, true), false),
		"every character":            every,
		"with slashes":               strings.ReplaceAll(quote(odd, false), "/", `\/`),
		"in a query":                 "?key=" + url.QueryEscape(odd),
		"in a query, small letters":  "?key=" + strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3D", "%3d", "%3C", "%3c", "%3E", "%3e", "%5C", "%5c").Replace(url.QueryEscape(odd)),
		"in a path":                  "/" + url.PathEscape(odd),
		"in a query in JSON":         quote("?key="+url.QueryEscape(odd)+"&x=y", true),
		"in HTML":                    "<pre>" + html.EscapeString(odd) + "</pre>",
		"in HTML in JSON":            quote(html.EscapeString(odd), true),
		"behind an escape that ends": `\` + "u12" + quote(odd, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.upstream(routing.OpenAI, scripted(map[string]reply{id: {status: 400, body: body}}), key(id))
			a := h.do(h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`))
			if msg := a.message(t, routing.OpenAI); a.status != 502 || !strings.Contains(msg, "withheld") {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	// What is like it is not.
	h := newHouse(t)
	h.upstream(routing.OpenAI, scripted(map[string]reply{id: {status: 400, body: `{"error":{"message":"100% wrong \u00","code":"x"}} % \`}}), key(id))
	if a := h.do(h.request("POST", "/ai/openai/v1/chat/completions", `{"model":"m"}`)); a.status != 400 || !strings.Contains(a.body, "100% wrong") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// Redirects are not followed, and the key goes to no second host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	second := newServer(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	defer second.Close()
	p := h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		w.Header().Set("Location", second.URL)
		w.WriteHeader(code)
	}, key("k1"), key("k2"))
	for _, code := range []string{"300", "301", "302", "303", "304", "305", "307", "308", "399"} {
		for _, method := range []string{"GET", "POST"} {
			a := h.do(h.request(method, "/ai/"+p.Name+"/v1/models?code="+code, ""))
			if a.status != 502 || a.header.Get("Location") != "" || !strings.Contains(a.message(t, routing.OpenAI), "redirect") {
				t.Errorf("%s %s: got %d %s", method, code, a.status, a.body)
			}
			if rec := h.record(); len(rec.Attempts) != 1 {
				t.Errorf("%s %s: %d attempts", method, code, len(rec.Attempts))
			}
		}
	}
}

// An upstream that closes an idle connection just as it is used again costs
// nothing, not even where there is only one key.
func TestAStaleConnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		for _, requests := range []int{1, 1} { // on each connection, before it is closed
			c, err := ln.Accept()
			if err != nil {
				return // the test has failed already
			}
			br := bufio.NewReader(c)
			for n := 0; ; n++ {
				r, err := http.ReadRequest(br)
				if err != nil || n == requests {
					break // the request has come, and is not answered
				}
				io.Copy(io.Discard, r.Body)
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			c.Close()
		}
	}()
	h.addProvider(&routing.Provider{
		Name: "openai", Dialect: routing.OpenAI, Enabled: true, BaseURL: mustURL(t, "http://"+ln.Addr().String()), Keys: []routing.Key{key("k")},
	})
	for i, want := range []string{"ok", "connection_lost ok"} {
		a := h.chat()
		var got []string
		for _, attempt := range h.record().Attempts {
			got = append(got, attempt.Outcome)
		}
		if a.status != 200 || a.body != "ok" || strings.Join(got, " ") != want {
			t.Errorf("request %d: got %d %q, attempts %q, want %s", i, a.status, a.body, got, want)
		}
	}
	h.gwTransport.CloseIdleConnections()
	<-served
}
