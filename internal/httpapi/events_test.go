package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// A stream is somebody who follows requests.
type stream struct {
	t      *testing.T
	lines  *bufio.Reader
	leave  func()
	status int
}

// follow connects, and returns once the server listens.
func (s *server) follow(t *testing.T, query, last string, headers ...header) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // what never comes must end the test
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+eventsPath+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+s.token.Reveal())
	}
	for _, h := range headers {
		req.Header.Set(h.name, h.value)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() }) // it was cut off
	st := &stream{t, bufio.NewReader(res.Body), cancel, res.StatusCode}
	if st.status != http.StatusOK {
		return st
	}
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the headers are %v", res.Header)
	}
	if got := st.next(); got != ": connected" {
		t.Errorf("it begins with %q", got)
	}
	return st
}

// next returns the next event, on one line, or "end".
func (s *stream) next() string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.lines.ReadString('\n')
		if err == io.EOF { //nolint:errorlint // the reader returns it bare
			return "end"
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if line == "\n" {
			return strings.Join(lines, " ")
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
}

// want fails unless the next events are of those records, by name.
func (s *stream) want(names map[string]string, wanted ...string) {
	s.t.Helper()
	for _, w := range wanted {
		got := s.next()
		if _, rest, ok := strings.Cut(got, "event: interception id: "); ok {
			id, data, _ := strings.Cut(rest, " data: ")
			var rec client.Interception
			if err := json.Unmarshal([]byte(data), &rec); err != nil || rec.ID != id {
				s.t.Errorf("the event is %s", got)
			}
			got = names[id]
		}
		if got != w {
			s.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

const gapEvent = "event: gap data: {}"

// publish shows records of those owners and statuses, and notes their names.
func (s *server) publish(names map[string]string, name string, rec usage.Record) {
	rec.ID, rec.TokenID, rec.Began = dbgen.ID(), "t", s.clock.now()
	names[rec.ID] = name
	s.feed.Publish(rec)
}

func TestEventsShowWhatTheCallerMaySee(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ann := dbgen.User(t, s.DB, store.User{Name: "ann", Roles: store.SetOf(string(rbac.Member))})
		member := s.with(t, ann, store.APIKey{Scopes: store.SetOf("interception:read")})
		names := map[string]string{}
		all, hers, failed, others := s.follow(t, "", ""), member.follow(t, "", ""), s.follow(t, "?status=5xx&provider=vendor", ""), member.follow(t, "?owner="+s.owner.ID, "")
		s.publish(names, "his", usage.Record{OwnerID: s.owner.ID, Status: 200, Provider: "vendor"})
		s.publish(names, "hers", usage.Record{OwnerID: ann.ID, Status: 502, Provider: "vendor"})
		s.publish(names, "other", usage.Record{OwnerID: dbgen.ID(), Status: 502, Provider: "other"})
		s.publish(names, "nobody's", usage.Record{Status: 500, Provider: "vendor"})
		s.publish(names, "hers again", usage.Record{OwnerID: ann.ID})
		all.want(names, "his", "hers", "other", "nobody's", "hers again")
		hers.want(names, "hers", "hers again")
		failed.want(names, "hers", "nobody's")
		s.feed.Close()
		for who, st := range map[string]*stream{"all": all, "hers": hers, "failed": failed, "others": others} {
			if got := st.next(); got != "end" {
				t.Errorf("%s: at the end came %q", who, got)
			}
		}
		refusal(t, s.call(t, "GET", eventsPath, ""), http.StatusServiceUnavailable)
		if a := s.want(t, http.StatusServiceUnavailable, "HEAD", eventsPath, ""); a.header.Get("Retry-After") == "" {
			t.Errorf("the headers are %v", a.header)
		}
	})
}

func TestEventsGoOnWhereTheyEnded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		names := map[string]string{}
		first := s.follow(t, "", "")
		s.publish(names, "1", usage.Record{OwnerID: s.owner.ID})
		first.want(names, "1")
		first.leave()
		s.publish(names, "2", usage.Record{OwnerID: s.owner.ID})
		s.publish(names, "3", usage.Record{OwnerID: s.owner.ID})
		for id, name := range names {
			if name == "1" {
				s.follow(t, "", id).want(names, "2", "3")
			}
		}
		// A server that was started again knows no event of before, and has all since.
		s.follow(t, "", "0").want(names, gapEvent, "1", "2", "3")
		lost := s.follow(t, "", "f"+dbgen.ID()[1:])
		s.publish(names, "4", usage.Record{OwnerID: s.owner.ID})
		lost.want(names, gapEvent, "4")
		for i := range 2000 { // more than are kept, while nobody reads
			s.publish(names, fmt.Sprint("more ", i), usage.Record{OwnerID: s.owner.ID, Model: strings.Repeat("m", 200)})
		}
		for got := lost.next(); got != gapEvent; got = lost.next() {
			if got == "end" {
				t.Fatal("it ended")
			}
		}
	})
}

// What the token may is looked at again when anything changes.
func TestEventsEndWithTheRightToSeeThem(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(t *testing.T, s *server, u store.User, k store.APIKey) error{
		"the token is revoked": func(t *testing.T, s *server, _ store.User, k store.APIKey) error {
			return s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error { _, err := tx.APIKeys.Delete(t.Context(), k.ID); return err })
		},
		"the user is disabled": func(t *testing.T, s *server, u store.User, _ store.APIKey) error {
			return s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.Users.Update(t.Context(), u.ID, func(u *store.User) error { u.Disabled = true; return nil })
				return err
			})
		},
		"the role is taken away": func(t *testing.T, s *server, u store.User, _ store.APIKey) error {
			return s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
				_, err := tx.Users.Update(t.Context(), u.ID, func(u *store.User) error { u.Roles = store.SetOf(string(rbac.UserAdmin)); return nil })
				return err
			})
		},
		"the token expires": func(_ *testing.T, s *server, _ store.User, k store.APIKey) error {
			s.clock.set(k.ExpiresAt)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *server) {
				u := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Auditor), string(rbac.Member))})
				key, token := dbgen.APIKey(t, s.DB, u, store.APIKey{Scopes: store.SetOf("interception:read"), ExpiresAt: s.clock.now().Add(time.Hour)})
				names := map[string]string{}
				st := s.as(token).follow(t, "", "")
				s.provider(t, "unrelated") // changes the configuration, and nothing of this
				s.publish(names, "before", usage.Record{OwnerID: s.owner.ID})
				st.want(names, "before")
				if err := take(t, s, u, key); err != nil {
					t.Fatal(err)
				}
				s.publish(names, "after", usage.Record{OwnerID: s.owner.ID})
				if name == "the role is taken away" { // and with it all but their own
					s.publish(names, "own", usage.Record{OwnerID: u.ID})
					st.want(names, "own")
					return
				}
				st.want(names, "end")
			})
		})
	}
}

func TestEventsEndWithTheSession(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody, in, other := s.as(secret.Text{}), s.signedIn(t, s.owner), s.signedIn(t, s.owner)
		st, kept := nobody.follow(t, "", "", in), nobody.follow(t, "", "", other)
		names := map[string]string{}
		s.publish(names, "before", usage.Record{OwnerID: s.owner.ID})
		st.want(names, "before")
		nobody.want(t, http.StatusNoContent, "DELETE", sessionPath, "", in, fromPage) // which changes nothing of the configuration
		if got := st.next(); got != "end" {
			t.Errorf("after signing out, %q", got)
		}
		s.publish(names, "after", usage.Record{OwnerID: s.owner.ID})
		kept.want(names, "before", "after")
	})
}

func TestStreamsOfEventsAreBounded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for range 16 {
			s.follow(t, "", "")
		}
		p := refusal(t, s.call(t, "GET", eventsPath, ""), http.StatusServiceUnavailable)
		if !strings.Contains(p.Detail, "too many streams") {
			t.Errorf("the detail is %q", p.Detail)
		}
		ann := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Member))})
		s.with(t, ann, store.APIKey{Scopes: store.SetOf("all")}).follow(t, "", "") // another user is not in the way
	})
}

// A pipe is a connection that a response is written to.
type pipe struct {
	*io.PipeWriter
	header http.Header
}

func (p pipe) Header() http.Header { return p.header }
func (p pipe) WriteHeader(int)     {}
func (p pipe) Flush()              {}

// A stream on which nothing comes says now and then that it lives.
func TestEventsSayThatTheyLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := unheard(t, sqlstore.Config{Path: t.TempDir() + "/gatehouse.db"})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", eventsPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.token.Reveal())
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() {
			s.routes.ServeHTTP(pipe{w, http.Header{}}, req)
			close(done)
		}()
		st := &stream{t: t, lines: bufio.NewReader(r)}
		begin := time.Now()
		for _, w := range []struct {
			text  string
			after time.Duration
		}{{": connected", 0}, {": alive", 15 * time.Second}, {": alive", 30 * time.Second}} {
			if got := st.next(); got != w.text || time.Since(begin) != w.after {
				t.Errorf("after %v came %q", time.Since(begin), got)
			}
		}
		cancel()
		<-done
	})
}
