package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/routing"
)

// An upstream of inference is asked for codings that usage can be read through.
func TestCodingsThatCanBeRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := make(chan string, 1)
	h.upstream(routing.OpenAI, func(_ http.ResponseWriter, r *http.Request) {
		got <- strings.Join(r.Header["Accept-Encoding"], "|")
	}, key("k1"))
	for _, tc := range []struct{ path, accept, want string }{
		{"embeddings", "gzip, deflate", "gzip, deflate"},
		{"embeddings", "gzip, deflate, br, zstd", "gzip, deflate"},
		{"embeddings", "br, gzip", "gzip"},
		{"embeddings", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.8"},
		{"embeddings", "zstd", "identity"},
		{"embeddings", "identity", "identity"},
		{"files", "gzip, deflate, br, zstd", "gzip, deflate, br, zstd"},
	} {
		req := h.request("POST", "/ai/openai/v1/"+tc.path, `{"model":"m"}`)
		req.Header.Set("Accept-Encoding", tc.accept)
		h.do(req)
		if got := <-got; got != tc.want {
			t.Errorf("%s %q: the upstream is told %q, want %q", tc.path, tc.accept, got, tc.want)
		}
	}
}
