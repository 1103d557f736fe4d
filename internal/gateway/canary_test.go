package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// Whatever happens, the token goes to no upstream, the key to no client, and
// neither of them, nor the body or the query, into a log.
func TestCanaries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const body, query = "canary-of-the-body", "canary-of-the-query"
	var upstream syncBuffer
	mode := ""
	h.upstream(routing.OpenAI, func(w http.ResponseWriter, r *http.Request) {
		r.Write(&upstream)
		shown := r.Header.Get("Authorization")
		w.Header().Set("Set-Cookie", shown)
		w.Header().Set("Location", "http://127.0.0.1/?"+shown)
		switch mode {
		case "ok":
			io.WriteString(w, "{}")
		case "abort":
			io.WriteString(w, "{")
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "not HTTP":
			c, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(c, "%s\r\n\r\n", shown)
			c.Close()
		default:
			var status int
			fmt.Sscan(mode, &status)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":{"message":"you sent %s","code":"invalid_api_key"}}`, shown)
		}
	}, key("k1"), key("k2"))
	expired := h.addToken(&routing.Token{ID: "e", Use: true, ExpiresAt: h.clock()})
	limited := h.addToken(&routing.Token{ID: "l", Use: true, Models: []string{"m"}})
	unknown := token.New()
	mistyped := h.token.Reveal()[:42] + "!"
	secrets := []string{h.token.Reveal()[5:], expired.Reveal()[5:], limited.Reveal()[5:], unknown.Reveal()[5:], mistyped[5:], body, query}

	var client strings.Builder
	for _, mode = range []string{"ok", "abort", "not HTTP", "302", "400", "401", "402", "403", "404", "429", "500", "529"} {
		h.advance(1e13) // all keys are back
		for _, tok := range []string{h.token.Reveal(), expired.Reveal(), limited.Reveal(), unknown.Reveal(), mistyped} {
			for _, path := range []string{"/ai/openai/v1/chat/completions", "/ai/nope/v1/messages", "/ai/openai/v1/..", "/ai/openai/v1/files"} {
				req := h.request("POST", path+"?q="+query, fmt.Sprintf(`{"model":"%s","prompt":%q,"model":"x"}`, tok, body))
				req.Header = http.Header{"X-Api-Key": {tok}, "Cookie": {tok}, "X-Goog-Api-Key": {tok}, "Proxy-Authorization": {tok}}
				a := h.do(req)
				fmt.Fprintln(&client, a.header, a.body)
				h.record()
			}
		}
	}
	sent, logs := upstream.String(), h.logs.String()
	for _, s := range secrets {
		if strings.Contains(logs, s) || strings.Contains(client.String(), s) {
			t.Errorf("%.4s… is in a log or an answer", s)
		}
	}
	for _, s := range secrets[:5] { // the upstream gets body and query, of course
		// Nor in the headers: the body of a request may say what it likes.
		for _, request := range strings.Split(sent, "POST ") {
			if head, _, _ := strings.Cut(request, "\r\n\r\n"); strings.Contains(head, s) {
				t.Errorf("the token %.4s… went upstream", s)
			}
		}
	}
	for _, id := range []string{"k1", "k2"} {
		if k := key(id).Secret.Reveal(); strings.Contains(logs, k) || strings.Contains(client.String(), k) {
			t.Errorf("the key %s is in a log or an answer", id)
		} else if !strings.Contains(sent, k) {
			t.Errorf("the key %s was never used: the test proves nothing", id)
		}
	}
	if !strings.Contains(sent, body) || !strings.Contains(sent, query) || strings.Count(logs, "\n") != 12*5*4 {
		t.Error("the requests did not go through as the test means them to")
	}
}
