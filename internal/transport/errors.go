package transport

import (
	"context"
	"errors"
	"fmt"
)

// An Error is what a request failed with that got a connection and no answer.
// Its text quotes nothing of what was sent or received.
type Error struct {
	Err error
	// Reused is set if the connection had served before and nothing at all came
	// back. Most likely the upstream took it for idle and closed it just when
	// the request went out: it can be sent again.
	Reused bool
	// Sent is set if all of the request had been handed to the connection: the
	// upstream may have acted on it.
	Sent bool
}

func (e *Error) Error() string { return "upstream: " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// errMalformed is what an answer is that is not HTTP/1.1 to the letter. Here
// are no lenient readings: what two readers may read differently is refused.
var errMalformed = errors.New("malformed HTTP response")

// malformed says in which way an answer is.
func malformed(what string) error { return fmt.Errorf("%w: %s", errMalformed, what) }

var (
	errTooLong    = errors.New("the header of the response is too long")
	errUpgrade    = errors.New("the upstream changed the protocol unasked")
	errBodyClosed = errors.New("read from a body that is closed")
	errShortBody  = errors.New("the request's body is shorter than its length")
	errLongBody   = errors.New("the request's body is longer than its length")
	errOnlyHTTP2  = errors.New("the upstream does not speak HTTP/1.1")
	errBadRequest = errors.New("the request cannot be written")
)

// cancelled returns why the context ended, if it has, and else err.
func cancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
