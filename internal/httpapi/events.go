package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/internal/recorder"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	eventsPath  = "/api/v1/events"
	eventStream = "text/event-stream"

	// eventTick is how often a stream looks whether its token is still good for
	// it, and eventBeat how long it says nothing at most.
	eventTick = time.Second
	eventBeat = 15 * time.Second
	// eventWrite is how long a client may take to read what is there.
	eventWrite = 10 * time.Second
)

type eventsInput struct {
	InterceptionFilter
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was received: those behind it follow. If it is not known any more there is a gap, and then what is newer than it, as far as it is kept."`
}

func (a *api) streamEvents(ctx context.Context, who store.Actor, in *eventsInput) (*huma.StreamResponse, error) {
	s := &events{api: a, who: who, query: in.query(TimeRange{}), generation: a.Generation(), checked: time.Now()}
	if err := s.scope(ctx); err != nil {
		return nil, err
	}
	l, err := a.Feed.Listen(who.ID, in.LastEventID)
	switch {
	case errors.Is(err, recorder.ErrTooMany):
		return nil, problem{Status: http.StatusServiceUnavailable, again: true, Detail: "too many streams of events are open, of this user or of all: close one"}
	case err != nil:
		return nil, problem{Status: http.StatusServiceUnavailable, again: true, Detail: "the server is about to stop: try again"}
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer l.Close()
		hc.SetHeader("Content-Type", eventStream)
		hc.SetHeader("X-Accel-Buffering", "no") // nginx would hold events back
		if hc.Method() == http.MethodHead {
			return
		}
		s.run(hc.Context(), l, hc.BodyWriter())
	}}, nil
}

// events are one stream of events. It belongs to the goroutine of its request.
type events struct {
	*api
	who        store.Actor
	query      store.InterceptionQuery
	generation int64 // that of the configuration when who was last decided on
	checked    time.Time
}

// scope finds out what the stream may show.
func (s *events) scope(ctx context.Context) error {
	return s.DB.View(ctx, s.who, func(tx store.Tx) (err error) {
		s.query.Scope, err = tx.Interceptions.Scope(ctx)
		return err
	})
}

// good reports whether the token or session is still good for the stream. Whatever
// can change that of a token raises the generation, but for time; a session is
// looked at every second. If it cannot be found out the stream ends, and its client
// may ask again.
func (s *events) good(ctx context.Context) bool {
	generation := s.Generation()
	expired := !s.who.ExpiresAt.IsZero() && !s.Now().Before(s.who.ExpiresAt)
	look := s.who.SessionID != "" && time.Since(s.checked) >= eventTick
	if generation == s.generation && !expired && !look {
		return true
	}
	s.checked = time.Now()
	who, err := authenticateAgain(ctx)
	if err != nil {
		return false
	}
	s.who, s.generation = who, generation
	return s.scope(ctx) == nil
}

// run shows what comes until the client leaves, is too slow to read, or may not any
// more, or the server stops.
func (s *events) run(ctx context.Context, l *recorder.Listener, w io.Writer) {
	out := eventWriter{w: w}
	if rw, ok := w.(http.ResponseWriter); ok {
		out.ctl = http.NewResponseController(rw)
		_ = out.ctl.SetReadDeadline(time.Time{})    // there is nothing more to come from the client
		defer out.ctl.SetWriteDeadline(time.Time{}) //nolint:errcheck // not every writer has one
	}
	quiet := 0 * eventTick
	for err := out.comment("connected"); err == nil; {
		timed, cancel := context.WithTimeout(ctx, eventTick)
		rec, gap, end := l.Next(timed, s.query.Match)
		cancel()
		if ctx.Err() != nil || errors.Is(end, recorder.ErrClosed) || !s.good(ctx) {
			return
		}
		switch quiet += eventTick; {
		case end == nil && gap:
			quiet, err = 0, out.event("gap", "", struct{}{})
		case end == nil && s.query.Match(rec): // it may be shown less than a moment ago
			quiet, err = 0, out.event("interception", rec.ID, interception(rec))
		case quiet >= eventBeat:
			quiet, err = 0, out.comment("alive")
		}
	}
}

// An eventWriter writes server-sent events, each at once.
type eventWriter struct {
	w   io.Writer
	ctl *http.ResponseController // nil for a writer that has nothing to control
}

func (e eventWriter) comment(text string) error { return e.write(": " + text + "\n\n") }

func (e eventWriter) event(kind, id string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return e.write(fmt.Sprintf("event: %s\n%sdata: %s\n\n", kind, id, data))
}

func (e eventWriter) write(text string) error {
	if e.ctl != nil {
		_ = e.ctl.SetWriteDeadline(time.Now().Add(eventWrite)) // not every writer has one
	}
	if _, err := io.WriteString(e.w, text); err != nil {
		return err
	}
	if e.ctl == nil {
		return nil
	}
	return e.ctl.Flush()
}
