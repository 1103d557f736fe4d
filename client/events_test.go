package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
)

// streams is a server that answers each request for events with the next of some
// streams, and then refuses.
type streams struct {
	answers []string // a body, or the number of a status
	asked   []string // the path and Last-Event-ID of each request
}

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.URL.RequestURI()+" "+r.Header.Get("Last-Event-ID"))
	next := "403"
	if len(s.answers) > 0 {
		next, s.answers = s.answers[0], s.answers[1:]
	}
	var status int
	if n, _ := fmt.Sscanf(next, "%d", &status); n == 1 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"title":"Refused","status":%d}`, status)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, next)
}

// heard follows the events of a server to the end and returns them in short.
func heard(t *testing.T, s *streams) (out []string) {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "gate_x")
	if err != nil {
		t.Fatal(err)
	}
	f := client.InterceptionFilter{Status: "error", Since: time.Now()} // of which the time says nothing
	for e, err := range c.Events(t.Context(), f) {
		var refused *client.Error
		switch {
		case errors.As(err, &refused):
			out = append(out, fmt.Sprint("refused ", refused.Status))
		case err != nil:
			out = append(out, "error")
		case e.Gap:
			out = append(out, "gap")
		default:
			out = append(out, e.Interception.Provider)
		}
	}
	return out
}

func one(id, provider string) string {
	return "event: interception\nid: " + id + "\ndata: {\"provider\":\"" + provider + "\"}\n\n"
}

func TestEventsAreFollowedAcrossConnections(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers, want, asked []string
	}{
		"goes on behind the last": {
			[]string{": connected\n\n" + one("a", "1") + one("b", "2"), "503", one("c", "3") + "event: interception\nid: d\ndata: {\"prov"},
			[]string{"1", "2", "3", "refused 403"},
			[]string{"", "b", "b", "c"},
		},
		"a gap is told":                              {[]string{one("a", "1") + "event: gap\ndata: {}\n\n" + one("b", "2")}, []string{"1", "gap", "2", "refused 403"}, []string{"", "b"}},
		"lost before anything came":                  {[]string{": connected\n\n", one("a", "1")}, []string{"gap", "1", "refused 403"}, []string{"", "", "a"}},
		"what is not known is passed over":           {[]string{"event: other\ndata: x\n\nretry: 5\n\ndata\n\n" + one("a", "1")}, []string{"1", "refused 403"}, []string{"", "a"}},
		"an event that is none is passed over":       {[]string{"event: interception\ndata: [\n\n" + one("a", "1")}, []string{"1", "refused 403"}, []string{"", "a"}},
		"data on several lines":                      {[]string{"event: interception\nid:a\ndata:{\"provider\":\ndata: \"1\"}\n\n"}, []string{"1", "refused 403"}, []string{"", "a"}},
		"refused at once":                            {[]string{"401"}, []string{"refused 401"}, []string{""}},
		"refused at once, by a server that is busy":  {[]string{"503"}, []string{"refused 503"}, []string{""}},
		"a line that has no end ends the connection": {[]string{one("a", "1") + "data: " + strings.Repeat("x", 2<<20)}, []string{"1", "refused 403"}, []string{"", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &streams{answers: c.answers}
			if diff := cmp.Diff(c.want, heard(t, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var asked []string
			for _, last := range c.asked {
				asked = append(asked, "/api/v1/events?status=error "+last)
			}
			if diff := cmp.Diff(asked, s.asked); diff != "" {
				t.Errorf("what was asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, one("a", "1"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "gate_x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Events(ctx, client.InterceptionFilter{}) {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("it ended with %v", last)
	}
	for range c.Events(t.Context(), client.InterceptionFilter{}) { // and when nobody wants more
		break
	}
}

func TestEventsOfSomethingElse(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<p>hello")
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "gate_x")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Events(t.Context(), client.InterceptionFilter{}) {
		if err == nil || !strings.Contains(err.Error(), "not one of Gatehouse") {
			t.Errorf("it says %v", err)
		}
	}
}
