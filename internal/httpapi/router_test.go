package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		ids := map[string]bool{}
		for _, a := range []answer{
			s.provider1(t), s.call(t, "GET", providers, ""), s.call(t, "GET", providers+"/nobody", ""), s.call(t, "POST", providers, "{"),
			s.call(t, "GET", "/api/nothing", ""), s.call(t, "PUT", providers, ""), s.call(t, "DELETE", providers+"/p", ""),
			nobody.call(t, "GET", providers, ""), nobody.call(t, "GET", "/healthz", ""), nobody.call(t, "GET", "/api/v1/openapi.json", ""),
		} {
			id := a.header.Get("X-Gatehouse-Request-Id")
			if u, err := uuid.Parse(id); err != nil || u.Version() != 7 || ids[id] {
				t.Errorf("status %d: request id %q", a.status, id)
			}
			ids[id] = true
			if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d: %v", a.status, a.header)
			}
			if a.status != http.StatusNoContent && !json.Valid(a.body) {
				t.Errorf("status %d is not JSON: %s", a.status, a.body)
			}
			if !strings.Contains(s.log.text(), id) {
				t.Errorf("request %s is not in the log", id)
			}
		}
	})
}

// provider1 is the answer to a request that adds a provider.
func (s *server) provider1(t *testing.T) answer {
	t.Helper()
	return s.want(t, http.StatusCreated, "POST", providers, `{"type":"openai","name":"p","base_url":"`+vendor+`","api_keys":["`+s.key("1")+`"]}`)
}

func TestWrongMethodSaysWhichAreRight(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, c := range [][2]string{
			{"PUT " + providers, "GET, POST"}, {"PUT " + providers + "/p", "GET, PATCH, DELETE"}, {"PATCH " + providers + "/p/keys", "GET, POST"},
			{"POST " + providers + "/p/keys/k", "GET, PATCH, DELETE"}, {"DELETE " + tokens, "GET, POST"}, {"PATCH " + tokens + "/t", "GET, DELETE"},
			{"POST " + auditPath, "GET"}, {"POST /healthz", "GET"}, {"DELETE /api/v1/openapi.json", "GET"},
		} {
			method, path, _ := strings.Cut(c[0], " ")
			a := s.call(t, method, path, "")
			refusal(t, a, http.StatusMethodNotAllowed)
			if got := a.header.Get("Allow"); got != c[1] {
				t.Errorf("%s: Allow is %q, want %q", c[0], got, c[1])
			}
		}
	})
}

func TestBodyOfOneMebibyteIsRead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		body := `{"type":"openai","name":"p","base_url":"` + vendor + `"}`
		s.want(t, http.StatusCreated, "POST", providers, body+strings.Repeat(" ", 1<<20-len(body)))
		// What is larger is refused before it is all there, with and without a length.
		for _, length := range []int64{-1, 2 << 20} {
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+providers, io.MultiReader(strings.NewReader(strings.Repeat(" ", 2<<20))))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			req.Header.Set("Authorization", "Bearer "+s.token.Reveal())
			res, err := s.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := res.Body.Close(); err != nil {
				t.Error(err)
			}
			if res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("length %d: got %d", length, res.StatusCode)
			}
		}
	})
}

func TestReadinessFollowsTheServer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.want(t, http.StatusOK, "GET", "/readyz", "")
		why := errors.New("the disk is full of " + mark)
		s.ready.Store(&why)
		a := s.call(t, "GET", "/readyz", "")
		p := refusal(t, a, http.StatusServiceUnavailable)
		if strings.Contains(p.Detail, mark) || a.header.Get("Retry-After") == "" {
			t.Errorf("got %v %s", a.header, p.Detail)
		}
		if !strings.Contains(s.log.text(), mark) {
			t.Error("the log does not say why")
		}
		s.want(t, http.StatusOK, "GET", "/healthz", "") // it lives
	})
}

func TestPanicIsAProblemWithoutItsValue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1")
		for _, value := range []any{s.key("1"), errors.New(s.key("1")), []string{s.key("1")}} {
			state := func(string, string) httpapi.KeyState { panic(value) }
			s.state.Store(&state)
			before := s.dump(t)
			a := s.call(t, "GET", providers+"/p", "")
			p := refusal(t, a, http.StatusInternalServerError)
			if id := a.header.Get("X-Gatehouse-Request-Id"); !strings.Contains(p.Detail, id) || !strings.Contains(s.log.text(), `"panic","id":"`+id) {
				t.Errorf("the answer and the log do not meet: %s", p.Detail)
			}
			if s.dump(t) != before {
				t.Error("the database changed")
			}
		}
		s.state.Store(nil)
		s.want(t, http.StatusOK, "GET", providers+"/p", "") // it goes on
	})
}

func TestChangeThatIsNotInForceYet(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.OnCommit(func(context.Context, int64) error { return errors.New("compile: " + mark) })
		a := s.call(t, "POST", providers, `{"type":"openai","name":"p","base_url":"`+vendor+`"}`)
		p := refusal(t, a, http.StatusServiceUnavailable)
		if !strings.Contains(p.Detail, "the change is saved") || strings.Contains(p.Detail, mark) || a.header.Get("Retry-After") != "" {
			t.Errorf("got %v %s", a.header, p.Detail)
		}
		s.want(t, http.StatusOK, "GET", providers+"/p", "")
	})
}

func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1")
		lockOut(t, s)
		a := s.call(t, "PATCH", providers+"/p", `{"enabled":false}`)
		p := refusal(t, a, http.StatusServiceUnavailable)
		if p.Detail != "the database is not available; nothing was changed. Try again" || a.header.Get("Retry-After") == "" {
			t.Errorf("got %v %s", a.header, p.Detail)
		}
		if !strings.Contains(s.log.text(), "database unavailable") {
			t.Error("it is not in the log")
		}
	})
}

// lockOut keeps every writer away from the database until the test is over.
func lockOut(t *testing.T, s *server) {
	t.Helper()
	conn, err := s.Raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	begin := "BEGIN IMMEDIATE"
	if s.Postgres {
		begin = "BEGIN; UPDATE installation SET generation = generation"
	}
	if _, err := conn.ExecContext(t.Context(), begin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAddressBehindProxies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for i, c := range []struct{ forwarded, want string }{
			{"", "127.0.0.1"},
			{"203.0.113.1", "203.0.113.1"},
			{"198.51.100.1, 203.0.113.2", "203.0.113.2"}, // the client can write what it likes before
			{"203.0.113.3, 127.0.0.9", "203.0.113.3"},
			{"nonsense", "127.0.0.1"},
			{"nonsense, 203.0.113.4", "203.0.113.4"},
			{"::ffff:203.0.113.5", "203.0.113.5"},
			{"2001:db8::1%eth0", "2001:db8::1"},
		} {
			var headers []header
			if c.forwarded != "" {
				headers = []header{{"X-Forwarded-For", c.forwarded}}
			}
			s.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["all"]}`, headers...)
			all := entries(t, s)
			if got := all[len(all)-1].Address; got != c.want {
				t.Errorf("case %d: got %q, want %q", i, got, c.want)
			}
		}
	})
}

func TestUserAgentOfAnyBytes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for _, c := range []struct{ sent, kept string }{
			{"curl/8", "curl/8"}, {"caf\xe9", "caf"}, {strings.Repeat("x", 255) + "é", strings.Repeat("x", 255)}, {strings.Repeat("x", 300), strings.Repeat("x", 256)},
		} {
			s.want(t, http.StatusCreated, "POST", tokens, `{"name":"n","scopes":["all"]}`, header{"User-Agent", c.sent})
			all := s.Audit(t)
			if got := all[len(all)-1].Origin.UserAgent; got != c.kept {
				t.Errorf("%q is kept as %q", c.sent, got)
			}
		}
	})
}

func TestVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		limited := s.with(t, s.owner, store.APIKey{Models: store.SetOf("m")})
		got := decode[client.Version](t, limited.want(t, http.StatusOK, "GET", "/api/v1/version", ""))
		if want := (client.Version{Version: "v1.2.3", Commit: "abc", Go: "go1"}); got != want {
			t.Errorf("got %+v", got)
		}
	})
}

func TestLogLineOfARequest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.log.guard(mark)
		s.call(t, "GET", providers+"/"+mark+"?x="+mark, "", header{"User-Agent", mark}, header{"Referer", mark})
		s.call(t, "GET", "/api/"+mark, "")
		var lines []string
		for line := range strings.Lines(s.log.text()) {
			var l struct {
				Msg, Token, Method, Route string
				Status                    int
				MS                        *int64
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			if l.MS == nil {
				t.Errorf("no time taken: %s", line)
			}
			lines = append(lines, strings.Join([]string{l.Msg, l.Token, l.Method, l.Route, http.StatusText(l.Status)}, " "))
		}
		want := []string{
			"api request owner-token GET " + providers + "/{provider} Unprocessable Entity",
			"api request  GET none Not Found",
		}
		if !slices.Equal(lines, want) {
			t.Errorf("got %q", lines)
		}
	})
}

// Requests that run for long do not keep others from being answered.
func TestReadsDoNotWaitForWriters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p")
		lockOut(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // what a writer waits is longer
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", s.url+providers+"/p", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.token.Reveal())
		res, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("got %d, %v", res.StatusCode, err)
		}
	})
}

func TestBodyThatBreaksOffIsTheClientsFault(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }() // the answer has come
		const body = "5\r\n{\"nam\r\nno chunk\r\n"
		_, err = io.WriteString(conn, "POST "+providers+" HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+s.token.Reveal()+
			"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		refusal(t, answer{res.StatusCode, res.Header, b}, http.StatusBadRequest)
	})
}
