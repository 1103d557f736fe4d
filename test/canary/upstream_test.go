package canary_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A vendor is a provider that talks too much: in most of its modes it sends back
// the key that it was sent, or the header of its settings, wherever there is room.
type vendor struct {
	*httptest.Server
	waiting atomic.Int64 // requests that get no end

	mu   sync.Mutex
	mode string
}

// vendorModes are what a vendor does, "" being that all is well.
var vendorModes = []string{
	"400", "401", "402", "403", "404", "429", "500", "503", "529", "302", "cut off", "not HTTP", "no answer",
	"key in JSON, escaped", "key in a URL", "key with every character escaped", "key in capitals of hex", "broken gzip", "stream that breaks", "stream with an error", "head without end",
}

// addedHeader is what the settings of some providers add.
const addedHeader = "X-Tenant"

// stsURL is where servers look for AWS's STS. It is behind the proxy of each house.
const stsURL = "http://sts.canary.invalid"

// newProxy starts a proxy that forwards what it is given, and answers in the place
// of STS with the secret and the token of a session.
func newProxy(t *testing.T, tp *tape, session func() (key, token string)) *httptest.Server {
	t.Helper()
	out := &http.Transport{DisableKeepAlives: true}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tp.write("proxy head", []byte(r.Header.Get("Proxy-Authorization"))) // the rest is for the upstream
		if "http://"+r.Host == stsURL {
			key, token := session()
			fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIACANARY0123456789</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
				key, token, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
			return
		}
		r = r.Clone(r.Context())
		r.RequestURI = ""
		r.Header.Del("Proxy-Authorization")
		res, err := out.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer res.Body.Close()
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.StatusCode)
		for buf := make([]byte, 4<<10); ; {
			n, err := res.Body.Read(buf)
			_, _ = w.Write(buf[:n]) // who asked may be gone
			_ = http.NewResponseController(w).Flush()
			if err == io.EOF { //nolint:errorlint // readers return it bare
				return
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}))
	srv.Config.ErrorLog = nil
	t.Cleanup(srv.Close)
	return srv
}

func newVendor(t *testing.T, name string, tp *tape, answer func() string) *vendor {
	t.Helper()
	v := &vendor{}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, _ := httputil.DumpRequest(r, false) // without its body it cannot fail
		body, _ := io.ReadAll(r.Body)             // what there is of one that is cut off will do
		tp.write("upstream requests/"+name+" head", head)
		tp.write("upstream requests/"+name+" body", body)
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key")
		for _, name := range []string{addedHeader, "X-Amz-Security-Token"} {
			if more := r.Header.Get(name); more != "" {
				key = more
			}
		}
		w.Header().Set("Set-Cookie", "key="+key)
		w.Header().Set("X-Debug", key)
		w.Header().Set("Location", "http://127.0.0.1/?"+key)
		v.mu.Lock()
		mode := v.mode
		v.mu.Unlock()
		if mode == "no end" { // it is no fault, and none of vendorModes
			v.waiting.Add(1)
			_, _ = io.WriteString(w, "data: {}\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		v.answer(w, mode, key, answer(), bytes.Contains(body, []byte(`"stream":true`)))
	}))
	v.Config.ErrorLog = nil
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) set(mode string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mode = mode
}

// An upstreamError is how both vendors say what is wrong, more or less.
func upstreamError(message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":"invalid_request_error","message":%s,"code":"odd"}}`, message)
}

func (v *vendor) answer(w http.ResponseWriter, mode, key, text string, stream bool) {
	quoted, _ := json.Marshal("you sent " + key)
	flush := func() { _ = http.NewResponseController(w).Flush() } // the client may be gone
	say := func(status int, body string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // likewise
	}
	inText, _ := json.Marshal(text)
	event := fmt.Sprintf("data: {\"choices\":[{\"delta\":{\"content\":%s}}]}\n\n", inText)
	switch mode {
	case "":
		if stream {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 3 {
				_, _ = io.WriteString(w, event)
				flush()
			}
			_, _ = io.WriteString(w, "data: [DONE]\n\n")
			return
		}
		say(200, fmt.Sprintf(`{"choices":[{"message":{"content":%s}}]}`, inText))
	case "cut off":
		w.Header().Set("Content-Length", "1000")
		say(200, "{")
		flush()
		panic(http.ErrAbortHandler)
	case "stream that breaks", "stream with an error":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, event)
		flush()
		if mode == "stream that breaks" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "event: error\ndata: "+upstreamError(`"overloaded"`)+"\n\n")
	case "not HTTP", "no answer", "head without end":
		c, b, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		switch mode {
		case "not HTTP":
			sayRaw(b, key+"\r\n\r\n")
		case "head without end":
			sayRaw(b, "HTTP/1.1 200 OK\r\nX-Key "+key+"\r\n\r\n")
		}
	case "key in JSON, escaped":
		say(418, upstreamError(string(quoted)))
	case "key in a URL":
		say(418, upstreamError(strconv.Quote("GET /v1/models?key="+url.QueryEscape(key)+" and "+url.PathEscape(key))))
	case "key with every character escaped":
		say(418, upstreamError(strconv.Quote(percentAll([]byte(key)))))
	case "key in capitals of hex":
		say(401, upstreamError(strconv.Quote(fmt.Sprintf("%X", key))))
	case "broken gzip":
		w.Header().Set("Content-Encoding", "gzip")
		say(418, key)
	default:
		status, err := strconv.Atoi(mode)
		if err != nil {
			panic("there is no mode " + mode)
		}
		say(status, upstreamError(`"you sent `+key+`"`)) // without any escapes
	}
}

func sayRaw(b *bufio.ReadWriter, text string) {
	_, _ = b.WriteString(text) // Flush returns the error
	_ = b.Flush()              // who asked may be gone
}
