// Package webui serves what a browser sees at /: a plain page, until there is
// a console.
package webui

import (
	_ "embed"
	"net/http"
)

//go:embed index.html
var index []byte

//go:embed page.css
var style []byte

// Handler serves the page and what belongs to it. Anything else is not found.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", file("text/html; charset=utf-8", index))
	mux.HandleFunc("GET /page.css", file("text/css; charset=utf-8", style))
	return mux
}

func file(mediaType string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", mediaType)
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(content) // a client that is gone needs no answer
	}
}
