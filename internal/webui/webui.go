// Package webui serves the console: what a browser sees at /.
//
// The files are built from web/ and embedded, so that nothing is fetched from
// anywhere else; the Content-Security-Policy says so to the browser, too. There is
// nothing secret in them: what the console shows comes from the API, to whoever is
// signed in. A page of the console that is asked for by its address gets the one
// HTML file, in which the console finds its way. The handler may be used
// concurrently.
package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed all:dist
var dist embed.FS

// policy lets the console load what this server has, and talk to it, and nothing
// else. Nothing inline runs or styles.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// others are the first segments of paths that are not of the console: they get
// no page of it, whatever is mounted there.
var others = []string{"api", "ai", "healthz", "readyz", "metrics", "assets"}

const (
	index = "index.html"

	// brotliSuffix is behind the name of a file in Brotli, which is not asked for by
	// that name.
	brotliSuffix = ".br"

	// A name in assets/ has a digest of the content in it; others may change.
	immutable = "public, max-age=31536000, immutable"
	revalid   = "no-cache"
)

// Handler serves the console. Anything that is neither a file nor a page of it is
// not found.
func Handler() http.Handler {
	files := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		f := files[nameOf(r.URL.Path)]
		if f == nil {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		f.serve(w, r)
	})
}

// nameOf returns the name of the file that a path leads to: its own, or the page
// if it is an address within the console, which has no dot in its last segment.
func nameOf(p string) string {
	name := strings.TrimPrefix(p, "/")
	first, _, _ := strings.Cut(name, "/")
	if slices.Contains(others, first) || strings.Contains(path.Base(p), ".") {
		return name
	}
	return index
}

// A file is one file of the console.
type file struct {
	mediaType, caching, etag string
	content                  []byte
	// brotli is the content in Brotli, which the build of the console made; nil where
	// it made none.
	brotli []byte
	// gzip is the content in gzip, made when it is first asked for; nil where it is
	// no shorter.
	gzip func() []byte
}

func load() map[string]*file {
	files := make(map[string]*file)
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // a test would have caught it
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		files[name] = newFile(name, content)
		return err
	})
	if err != nil {
		panic(err) // likewise
	}
	for name, f := range files {
		if packed, ok := files[name+brotliSuffix]; ok {
			f.brotli = packed.content
		}
	}
	maps.DeleteFunc(files, func(name string, _ *file) bool { return path.Ext(name) == brotliSuffix })
	return files
}

func newFile(name string, content []byte) *file {
	f := &file{mediaType: mediaType(name), caching: revalid, content: content, etag: etag(content)}
	if strings.HasPrefix(name, "assets/") {
		f.caching = immutable
	}
	f.gzip = sync.OnceValue(func() []byte {
		var b bytes.Buffer
		zw, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a valid one
		_, _ = zw.Write(content)                               // a buffer takes all
		_ = zw.Close()
		if b.Len() >= len(content) {
			return nil
		}
		return b.Bytes()
	})
	return f
}

func mediaType(name string) string {
	switch path.Ext(name) {
	case ".woff2":
		return "font/woff2"
	case ".js": // not left to what the machine says
		return "text/javascript; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", f.caching)
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if slices.Contains(strings.Split(r.Header.Get("If-None-Match"), ", "), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	content, coding := f.coded(r)
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(content) // a client that is gone needs no answer
}

// coded returns the content as the client is sent it, and its coding, "" for none.
func (f *file) coded(r *http.Request) (content []byte, coding string) {
	if f.brotli != nil && takes(r, "br") {
		return f.brotli, "br"
	}
	if takes(r, "gzip") && f.mediaType != "font/woff2" { // a font is packed by itself
		if packed := f.gzip(); packed != nil {
			return packed, "gzip"
		}
	}
	return f.content, ""
}

// takes reports whether the client takes a coding, and has not given it a quality,
// which may be zero.
func takes(r *http.Request, wanted string) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.EqualFold(strings.TrimSpace(coding), wanted) {
			return true
		}
	}
	return false
}

// etag names a content. It is weak, as it is one of the content packed and not.
func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `W/"` + hex.EncodeToString(sum[:12]) + `"`
}
