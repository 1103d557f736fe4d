package translate

import (
	"bytes"
	"errors"
)

// maxEvent is the longest event of a stream that is read. Those that hold a
// whole answer are the longest.
const maxEvent = 8 << 20

var errLongEvent = errors.New("the upstream sent an event that is too long")

// A splitter reads server-sent events in pieces, by the rules of the WHATWG, and
// gives the data of each. It keeps no more than the event that is coming.
type splitter struct {
	line []byte // the beginning of a line, from the pieces before
	data []byte
	// some is set when the event has data, late once the first line was read, and
	// cr after a CR, whose LF may come.
	some, late, cr bool
}

// feed reads on. For each event it calls event, and for each comment comment; the
// data is valid during the call.
func (s *splitter) feed(piece []byte, event func([]byte), comment func()) error {
	for len(piece) > 0 {
		if s.cr {
			s.cr = false
			if piece[0] == '\n' {
				piece = piece[1:]
				continue
			}
		}
		i := bytes.IndexAny(piece, "\r\n")
		if i < 0 {
			if len(s.line)+len(s.data)+len(piece) > maxEvent {
				return errLongEvent
			}
			s.line = append(s.line, piece...)
			return nil
		}
		line := piece[:i]
		if len(s.line)+len(s.data)+len(line) > maxEvent {
			return errLongEvent
		}
		if len(s.line) > 0 {
			s.line = append(s.line, line...)
			line = s.line
		}
		s.take(line, event, comment)
		s.line = s.line[:0]
		s.cr = piece[i] == '\r'
		piece = piece[i+1:]
	}
	return nil
}

// end gives the event that the stream ended in. What reads it has to see for
// itself whether it is whole.
func (s *splitter) end(event func([]byte)) {
	if len(s.line) > 0 {
		s.take(s.line, event, func() {})
		s.line = nil
	}
	s.take(nil, event, func() {})
}

// take takes a line.
func (s *splitter) take(line []byte, event func([]byte), comment func()) {
	if !s.late {
		s.late = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	switch {
	case len(line) == 0:
		if s.some {
			event(s.data)
		}
		s.data, s.some = s.data[:0], false
	case line[0] == ':':
		comment()
	default:
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			return // the name of the event is in its data, too
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if s.some {
			s.data = append(s.data, '\n')
		}
		s.data, s.some = append(s.data, value...), true
	}
}
