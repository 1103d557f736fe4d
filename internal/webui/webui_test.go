package webui_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/webui"
)

func get(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	webui.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPaths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, path string
		status             int
		mediaType          string
	}{
		{"the start is the page", "GET", "/", 200, "text/html; charset=utf-8"},
		{"a page of the console is the page", "GET", "/providers/openai", 200, "text/html; charset=utf-8"},
		{"HEAD is answered as GET", "HEAD", "/providers", 200, "text/html; charset=utf-8"},
		{"a file is itself", "GET", "/theme.js", 200, "text/javascript; charset=utf-8"},
		{"a file that is not there is not found", "GET", "/.env", 404, "text/plain; charset=utf-8"},
		{"an asset that is not there is not found", "GET", "/assets/none", 404, "text/plain; charset=utf-8"},
		{"the API has no page", "GET", "/api/v1/nothing", 404, "text/plain; charset=utf-8"},
		{"the gateway has no page", "GET", "/ai/openai/v1/models", 404, "text/plain; charset=utf-8"},
		{"the metrics are no page", "GET", "/metrics", 404, "text/plain; charset=utf-8"},
		{"health is no page", "GET", "/healthz", 404, "text/plain; charset=utf-8"},
		{"a file is not written to", "POST", "/", 405, "text/plain; charset=utf-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := get(t, c.method, c.path)
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.mediaType {
				t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, res.StatusCode, res.Header.Get("Content-Type"), c.status, c.mediaType)
			}
			if c.method == "HEAD" && len(body(t, res)) > 0 {
				t.Error("an answer to HEAD has a body")
			}
		})
	}
}

func TestEveryAnswerHasThePolicy(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/tokens", "/theme.js", "/none.txt"} {
		h := get(t, "GET", path).Header
		for _, directive := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'", "img-src 'self'", "connect-src 'self'",
			"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
		} {
			if !slices.Contains(strings.Split(h.Get("Content-Security-Policy"), "; "), directive) {
				t.Errorf("%s: the policy lacks %s: %s", path, directive, h.Get("Content-Security-Policy"))
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: the policy allows what is unsafe", path)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" {
			t.Errorf("%s: headers: %v", path, h)
		}
	}
}

// What the page names is there, kept by browsers for good, and nothing of it is
// inline or from elsewhere.
func TestThePageHasItsFiles(t *testing.T) {
	t.Parallel()
	page := body(t, get(t, "GET", "/"))
	if regexp.MustCompile(`<script>|<script [^>]*>[^<]|<style| style=| on[a-z]+=|https?://`).Match(page) {
		t.Errorf("the page has something inline or from elsewhere:\n%s", page)
	}
	names := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page, -1)
	if len(names) < 4 {
		t.Fatalf("the page names %d files", len(names))
	}
	for _, n := range names {
		res := get(t, "GET", string(n[1]))
		if res.StatusCode != 200 {
			t.Errorf("%s: %d", n[1], res.StatusCode)
		}
		kept := strings.Contains(res.Header.Get("Cache-Control"), "immutable")
		if hashed := strings.HasPrefix(string(n[1]), "/assets/"); kept != hashed {
			t.Errorf("%s: Cache-Control %q", n[1], res.Header.Get("Cache-Control"))
		}
	}
}

func TestPacked(t *testing.T) {
	t.Parallel()
	plain := body(t, get(t, "GET", "/"))
	for _, c := range []struct {
		name, accept string
		packed       bool
	}{
		{"to a client that takes it", "br, gzip", true},
		{"not to one that says nothing", "", false},
		{"not to one that refuses it", "gzip;q=0", false},
		{"not to one that takes what there is none of", "br, zstd", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := get(t, "GET", "/", "Accept-Encoding", c.accept)
			got := body(t, res)
			if packed := res.Header.Get("Content-Encoding") == "gzip"; packed != c.packed {
				t.Fatalf("packed: %v, want %v", packed, c.packed)
			}
			if c.packed {
				zr, err := gzip.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				if got, err = io.ReadAll(zr); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, plain) {
				t.Error("it is not the page")
			}
		})
	}
}

// script returns the address of the largest script, which the page names.
func script(t *testing.T) string {
	t.Helper()
	name := regexp.MustCompile(`src="(/assets/index-[^"]+\.js)"`).FindSubmatch(body(t, get(t, "GET", "/")))
	if name == nil {
		t.Fatal("the page names no script")
	}
	return string(name[1])
}

func TestCodings(t *testing.T) {
	t.Parallel()
	name := script(t)
	plain := body(t, get(t, "GET", name))
	kept, err := os.ReadFile("dist" + name + ".br")
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) >= len(body(t, get(t, "GET", name, "Accept-Encoding", "gzip"))) {
		t.Error("Brotli is no shorter than gzip")
	}
	for _, c := range []struct{ name, accept, coding string }{
		{"Brotli to a browser", "gzip, deflate, br, zstd", "br"},
		{"Brotli to one that takes nothing else", "br", "br"},
		{"Brotli, whatever its case", "BR", "br"},
		{"gzip to one that takes no Brotli", "gzip, deflate", "gzip"},
		{"gzip to one that refuses Brotli", "br;q=0, gzip", "gzip"},
		{"plain to one that refuses both", "br;q=0, gzip;q=0", ""},
		{"plain to one that says nothing", "", ""},
		{"plain to one that takes something that is longer by name", "brotli, gzipped", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := get(t, "GET", name, "Accept-Encoding", c.accept)
			got := body(t, res)
			if coding := res.Header.Get("Content-Encoding"); coding != c.coding {
				t.Fatalf("Content-Encoding %q, want %q", coding, c.coding)
			}
			if want := strconv.Itoa(len(got)); res.Header.Get("Content-Length") != want {
				t.Errorf("Content-Length %s, want %s", res.Header.Get("Content-Length"), want)
			}
			if res.Header.Get("Vary") != "Accept-Encoding" || res.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
				t.Errorf("headers %v", res.Header)
			}
			if c.coding == "br" && !bytes.Equal(got, kept) {
				t.Error("it is not what the build of the console made")
			}
			if c.coding == "" && !bytes.Equal(got, plain) {
				t.Error("it is not the script")
			}
			if head := get(t, "HEAD", name, "Accept-Encoding", c.accept); head.Header.Get("Content-Length") != res.Header.Get("Content-Length") {
				t.Errorf("HEAD says %s", head.Header.Get("Content-Length"))
			}
		})
	}
	if res := get(t, "GET", name+".br"); res.StatusCode != http.StatusNotFound {
		t.Errorf("by its own name: %d", res.StatusCode)
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	tag := get(t, "GET", "/").Header.Get("ETag")
	if res := get(t, "GET", "/", "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
		t.Errorf("with its ETag: %d", res.StatusCode)
	}
	if res := get(t, "GET", "/", "If-None-Match", `W/"another"`); res.StatusCode != http.StatusOK {
		t.Errorf("with another ETag: %d", res.StatusCode)
	}
}

// The first load is what the page names, the first screen and the two fonts.
func TestTheFirstLoadIsSmall(t *testing.T) {
	t.Parallel()
	const most = 250 << 10
	page := body(t, get(t, "GET", "/"))
	var total int
	for _, n := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page, -1) {
		total += len(body(t, get(t, "GET", string(n[1]), "Accept-Encoding", "gzip")))
	}
	err := fs.WalkDir(os.DirFS("dist/assets"), ".", func(name string, _ fs.DirEntry, err error) error {
		if regexp.MustCompile(`^(inter|jetbrains-mono)-latin-wght|^(home|providers?|providerform|toggle|welcome|setup|events)-.*\.js$`).MatchString(name) {
			total += len(body(t, get(t, "GET", "/assets/"+name, "Accept-Encoding", "gzip")))
		}
		return err
	})
	if err != nil || total > most || total < 50<<10 {
		t.Errorf("the first load is %d bytes, want at most %d (%v)", total, most, err)
	}
	t.Logf("the first load is %d KiB", total>>10)
}
