package translate

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

// A Stream translates the events of an answer as they come. Each is passed on
// with the piece that it ends in; the text of an answer is not kept, unless the
// client's API repeats it at the end, as Responses does.
//
// A stream that the upstream breaks off, or that makes no sense, ends with an
// error in the client's form, and never as one does that is whole.
type Stream struct {
	o     Options
	lines splitter
	from  eventReader
	to    sink
	out   writer

	// begun, opened and finished are how far the answer is.
	begun, opened, finished bool
	// hidden is set if the client would send thoughts back to where they cannot go.
	hidden bool
	// keeps is set if the answer is kept until its end, and size is how much of it
	// has come.
	keeps bool
	size  int
	// over is set once nothing more goes to the client, and err if that is because
	// something went wrong that the upstream did not say itself.
	over bool
	err  error
}

// An eventReader reads the data of the events of one API.
type eventReader interface {
	read(data gjson.Result, to sink)
}

// maxAnswer is the longest answer that is kept. Models write less than a
// tenth of it.
const maxAnswer = 8 << 20

// ErrBrokenOff is the end of a stream before the answer was whole.
var ErrBrokenOff = errors.New("the upstream broke off")

var (
	errNotEvent   = errors.New("the upstream sent an event that is not in the form of its API")
	errLongAnswer = errors.New("the upstream sent an answer that is too long")
)

// Stream returns a translation of a streamed answer.
func (t *Translation) Stream() *Stream {
	s := &Stream{o: t.o}
	switch t.upstream {
	case Chat:
		s.from = &chatReader{o: t.o, call: -1}
	case Responses:
		s.from = &responsesReader{o: t.o}
	case Messages:
		s.from = &messagesReader{o: t.o, index: -1}
	}
	switch t.client {
	case Chat:
		s.to = &chatWriter{t: t, out: &s.out}
	case Responses:
		s.to, s.keeps = &responsesWriter{t: t, out: &s.out}, true
	case Messages:
		s.to, s.hidden = &messagesWriter{out: &s.out}, !t.o.Thoughts
	}
	return s
}

// Feed takes a piece of what the upstream sends, and returns what the client is
// to be sent for it: valid until the next call.
func (s *Stream) Feed(piece []byte) []byte {
	s.out.b = s.out.b[:0]
	if s.over {
		return nil
	}
	if err := s.lines.feed(piece, s.event, s.comment); err != nil {
		s.breakOff(err)
	}
	return s.out.b
}

// End takes the end of what the upstream sends: nil, if it ended as it should. It
// returns what the client is still to be sent, and an error if that is not all of
// an answer; after it the connection to the client should be cut.
func (s *Stream) End(err error) ([]byte, error) {
	s.out.b = s.out.b[:0]
	if !s.over && err == nil {
		s.lines.end(s.lastEvent)
	}
	if !s.over {
		if err == nil {
			err = ErrBrokenOff
		}
		s.breakOff(err)
	}
	return s.out.b, s.err
}

var lastOfChat = []byte("[DONE]")

func (s *Stream) event(data []byte) {
	if s.over {
		return
	}
	if bytes.Equal(data, lastOfChat) {
		s.from.read(gjson.Result{}, s)
		return
	}
	doc, ok := parse(data)
	if !ok {
		s.breakOff(errNotEvent)
		return
	}
	s.from.read(doc, s)
}

// lastEvent reads an event whose end did not come, if it is whole.
func (s *Stream) lastEvent(data []byte) {
	if bytes.Equal(data, lastOfChat) || nesting.Valid(data) {
		s.event(data)
	}
}

func (s *Stream) comment() { s.take(event{kind: ping}) }

// breakOff ends the stream with an error of ours.
func (s *Stream) breakOff(err error) {
	if s.over {
		return
	}
	said := "The upstream broke off before the answer was whole."
	if errors.Is(err, errNotEvent) || errors.Is(err, errLongEvent) || errors.Is(err, errLongAnswer) {
		said = "The upstream sent a stream that cannot be translated."
	}
	s.take(event{kind: fail, failure: failure{status: http.StatusBadGateway, message: lit(said)}})
	s.err = err
}

// take keeps the order of events, whatever the upstream sends, so that what
// writes them can rely on it.
func (s *Stream) take(e event) {
	if s.over {
		return
	}
	switch e.kind {
	case begin:
		if s.begun {
			return
		}
		s.begun = true
	case open:
		if s.finished {
			return
		}
		s.ensureBegun()
		s.ensureShut()
		if e.block.kind == thought && s.hidden {
			return // and all that belongs to it
		}
		s.opened = true
	case more, signature:
		if !s.opened {
			return
		}
		if s.size += len(e.text); s.keeps && s.size > maxAnswer {
			s.breakOff(errLongAnswer)
			return
		}
	case shut:
		s.ensureShut()
		return
	case finish:
		if s.finished {
			return
		}
		s.ensureBegun()
		s.ensureShut()
		s.finished = true
	case done, fail:
		s.over = true
	case ping:
		if !s.begun {
			return
		}
	}
	s.to.take(e)
}

func (s *Stream) ensureBegun() {
	if !s.begun {
		s.take(event{kind: begin, id: s.o.idOr(""), model: escape(s.o.Model)})
	}
}

func (s *Stream) ensureShut() {
	if s.opened {
		s.opened = false
		s.to.take(event{kind: shut})
	}
}

// maxPiece is how much is read at a time.
const maxPiece = 16 << 10

// A reader is a body that is translated as it is read.
type reader struct {
	body  io.ReadCloser
	s     *Stream
	piece []byte
	rest  []byte // of what the client is to be sent
	err   error  // once rest is sent
}

// Reader returns the body of a streamed answer, translated. Whoever reads it gets
// events as soon as they are whole; a body that broke off ends with an error and
// not with [io.EOF]. Closing it closes body.
func (t *Translation) Reader(body io.ReadCloser) io.ReadCloser {
	return &reader{body: body, s: t.Stream(), piece: make([]byte, maxPiece)}
}

func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil && len(p) > 0 {
		n, err := r.body.Read(r.piece)
		r.rest = r.s.Feed(r.piece[:n])
		switch {
		case err != nil:
			r.end(err)
		case r.s.err != nil:
			r.err = r.s.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) == 0 && n == 0 {
		return 0, r.err
	}
	return n, nil
}

// end reads the end, with what came before it.
func (r *reader) end(err error) {
	first := append([]byte(nil), r.rest...)
	cause := err
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		cause = nil
	}
	last, broken := r.s.End(cause)
	r.rest = append(first, last...)
	if r.err = broken; broken == nil {
		r.err = io.EOF
	}
}

func (r *reader) Close() error { return r.body.Close() }
