package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// twoTargets returns a gateway over a fake transport with a route "fast" to two
// targets, of which the first fails, and a token.
func twoTargets(t testing.TB, sent func(host string, body []byte)) (*gateway.Gateway, string) {
	tok := token.New().Reveal()
	provider := func(name string) *routing.Provider {
		return &routing.Provider{
			ID: "p-" + name, Name: name, Dialect: routing.OpenAI, Enabled: true, NoBreaker: true,
			BaseURL: mustURL(t, "http://"+name+".invalid/v1"), Keys: []routing.Key{key(name)},
		}
	}
	snapshot := routing.NewSnapshot(1, []*routing.Provider{provider("one"), provider("two")},
		map[token.Hash]*routing.Token{token.Sum(tok): {ID: "t", Use: true}}).WithRoutes(&routing.Route{
		ID: "r", Name: "fast", Enabled: true,
		Targets: []routing.Target{{ProviderID: "p-one", Model: `<"a\` + "\u2028" + `b">`}, {ProviderID: "p-two", Model: "b"}},
	})
	return gateway.New(gateway.Config{
		Snapshot: func() *routing.Snapshot { return snapshot }, Pool: keypool.New(time.Now, keypool.Config{}),
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			b := make([]byte, r.ContentLength)
			if _, err := io.ReadFull(r.Body, b); err != nil {
				t.Error(err)
			}
			if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
				t.Error("the body is longer than its length")
			}
			r.Body.Close()
			sent(r.URL.Host, b)
			res := respond(r, strings.NewReader("{}"))
			if r.URL.Host == "one.invalid" {
				res.StatusCode = 500
			}
			return res, nil
		}),
	}), tok
}

// Whatever a body is, what each target is sent differs from it in the model alone,
// to the letter of encoding/json, and is the same before and after the model.
func FuzzModelIsAllThatChanges(f *testing.F) {
	for _, s := range []string{
		`{"model":"fast"}`, ` {"a":[1,{"model":"x"}],"model" : "f\u0061st","z":"\ud83d\ude00\/"}` + "\n", `{"model":"two/org\/x"}`, `{"model":"one/é<>&"}`,
		`{"model":"fast","model":"fast"}`, `{"Model":"fast"}`, `{"n":1e400,"model":"two/x"}`, `{"model":"two/","x":"model"}`, `{"":{},"model":"fast"}`, "{\"model\":\"two/\u2028\"}",
	} {
		f.Add([]byte(s))
	}
	type sent struct {
		host string
		body []byte
	}
	var all []sent
	gw, tok := twoTargets(f, func(host string, body []byte) { all = append(all, sent{host, body}) })
	f.Fuzz(func(t *testing.T, body []byte) {
		all = nil
		r := httptest.NewRequest("POST", "/ai/v1/chat/completions", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+tok)
		gw.ServeHTTP(httptest.NewRecorder(), r)
		if len(all) == 0 {
			return
		}
		var came map[string]json.RawMessage
		var asked struct{ Model string }
		if json.Unmarshal(body, &came) != nil || json.Unmarshal(body, &asked) != nil {
			t.Fatalf("%q was sent on", body)
		}
		for _, s := range all {
			want, _, _ := strings.Cut(s.host, ".")
			switch name, model, direct := strings.Cut(asked.Model, "/"); {
			case direct && name == want:
				want = model
			case !direct && asked.Model == "fast":
				want = map[string]string{"one": `<"a\` + "\u2028" + `b">`, "two": "b"}[want]
			default:
				t.Fatalf("%q was sent to %s", body, s.host)
			}
			var went map[string]json.RawMessage
			var got struct{ Model string }
			if err := json.Unmarshal(s.body, &went); err != nil {
				t.Fatalf("%q became %q: %v", body, s.body, err)
			}
			if err := json.Unmarshal(s.body, &got); err != nil || got.Model != want {
				t.Errorf("%q asks %s for %q, want %q", body, s.host, got.Model, want)
			}
			same := suffix(body, s.body)
			from, to := bytes.TrimSuffix(body, same), bytes.TrimSuffix(s.body, same)
			if was := from[len(prefix(from, to)):]; !bytes.Contains(came["model"], was) {
				t.Errorf("%q became %q: more than the model changed", body, s.body)
			}
			delete(went, "model")
			rest := map[string]json.RawMessage{}
			for k, v := range came {
				if k != "model" {
					rest[k] = v
				}
			}
			if diff := cmp.Diff(rest, went); diff != "" {
				t.Errorf("%q became %q:\n%s", body, s.body, diff)
			}
		}
	})
}

// prefix returns what a and b begin with, and suffix what they end with.
func prefix(a, b []byte) []byte {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

func suffix(a, b []byte) []byte {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return a[len(a)-n:]
}

// The gateway's own share of a request under the URL for all providers.
func BenchmarkShared(b *testing.B) {
	for name, model := range map[string]string{"one target": "two/m", "second target": "fast"} {
		for size, filling := range map[string]int{"100 B": 50, "20 KB": 20 << 10} {
			b.Run(name+", "+size, func(b *testing.B) {
				gw, tok := twoTargets(b, func(string, []byte) {})
				body := `{"model":"` + model + `","messages":[{"role":"user","content":"` + strings.Repeat("x", filling) + `"}]}`
				template := httptest.NewRequest("POST", "/ai/v1/chat/completions", strings.NewReader(body))
				template.Header.Set("Authorization", "Bearer "+tok)
				reader := strings.NewReader(body)
				w := &sink{h: http.Header{}}
				b.ReportAllocs()
				for b.Loop() {
					reader.Reset(body)
					clear(w.h)
					r := *template
					r.Body = io.NopCloser(reader)
					gw.ServeHTTP(w, &r)
				}
			})
		}
	}
}
