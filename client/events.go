package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"strings"
	"time"
)

// An Event is a request to the gateway that is over, or a gap.
type Event struct {
	Interception Interception
	// Gap is set when some were missed at this place: [Client.Interceptions] has
	// them.
	Gap bool
}

const (
	// maxEvent is the longest line of events that is read, in bytes.
	maxEvent = 1 << 20
	// silence is how long a server that lives says nothing at most.
	silence = time.Minute
	// reconnectAfter is how long a lost connection is left alone.
	reconnectAfter = time.Second
)

// errQuiet ends a connection on which nothing comes any more.
var errQuiet = errors.New("the server has gone silent")

// Events yields the requests to the gateway that f selects, whatever its times, as
// they come to an end, from now on. A connection that is lost is made again, and
// what was missed is an event with Gap set. An error is the last thing it yields:
// the server refused, or ctx is over.
func (c *Client) Events(ctx context.Context, f InterceptionFilter) iter.Seq2[Event, error] {
	f.Since, f.Until = time.Time{}, time.Time{}
	path := "/api/v1/events" + query(f.values(), nil)
	return func(yield func(Event, error) bool) {
		for last, first := "", true; ; first = false {
			if !first && last == "" && !yield(Event{Gap: true}, nil) {
				return // nobody can say what came in between
			}
			more, err := c.listen(ctx, path, &last, yield)
			if !more {
				return
			}
			var refused *Error
			switch {
			case ctx.Err() != nil:
				err = ctx.Err()
			case errors.As(err, &refused) && (first || refused.Status != http.StatusServiceUnavailable):
			case !first: // it was there, and may be again
				err = nil
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			select {
			case <-time.After(reconnectAfter):
			case <-ctx.Done():
			}
		}
	}
}

// listen makes one connection and yields what comes on it. It returns false once
// nobody wants more.
func (c *Client) listen(ctx context.Context, path string, last *string, yield func(Event, error) bool) (more bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return true, err
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	unbounded := *c.http
	unbounded.Timeout = 0
	watch := time.AfterFunc(silence, func() { cancel(errQuiet) })
	defer watch.Stop()
	resp, err := unbounded.Do(req)
	if err != nil {
		return true, fmt.Errorf("reach %s: %w", c.base, reason(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or nobody wants more
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		a, err := c.read(resp)
		if err == nil {
			err = a.foreign()
		}
		return true, err
	}
	return c.events(resp.Body, last, func() { watch.Reset(silence) }, yield)
}

// events reads a stream of events. alive is called for each line.
func (c *Client) events(body io.Reader, last *string, alive func(), yield func(Event, error) bool) (more bool, err error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	var kind, id, data string
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			kind = value
		case "id":
			id = value
		case "data":
			data += value
		case "":
			if lines.Text() != "" {
				continue // a comment, which says that the server lives
			}
			if id != "" {
				*last = id
			}
			e, ok := event(kind, data)
			kind, id, data = "", "", ""
			if ok && !yield(e, nil) {
				return false, nil
			}
		}
	}
	return true, nil // lost, or ended by the server: either way it is to be made again
}

// event returns what is of interest of an event.
func event(kind, data string) (Event, bool) {
	switch kind {
	case "gap":
		return Event{Gap: true}, true
	case "interception":
		var e Event
		err := json.Unmarshal([]byte(data), &e.Interception)
		return e, err == nil
	}
	return Event{}, false
}
