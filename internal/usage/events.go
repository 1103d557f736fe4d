package usage

import "bytes"

// bom is the byte order mark that a stream may begin with.
const bom = "\uFEFF"

// An eventReader reads server-sent events in pieces, by the rules of the WHATWG,
// and gives the data of each to the scanner of a meter as one document. An event
// that the stream breaks off in counts as far as it came. (A line "data" without
// a colon adds an empty line to the data, and nothing to a document: it is left
// out.)
type eventReader struct {
	state lineState
	// seen counts the bytes of bom at the start of the stream, then of "data" at
	// the start of a line.
	seen int
	// begun is set when the event has data.
	begun bool
	// cr is set after a CR, which a LF may follow that belongs to it.
	cr bool
}

type lineState uint8

const (
	atTop lineState = iota // of the stream: a bom may come
	atLine
	inField // the name of a field, as long as it may become "data"
	atData  // after the colon: a space there is not of the data
	inData
	inOther // another field, or a comment
)

// read reads on. Events that cannot have anything in them for the meter are
// passed over whole, and that is most of them: see [Meter.dull].
func (e *eventReader) read(m *Meter, b []byte) {
	// What is not in the rest of the chunk is not looked for again.
	lf, crlf := true, true
	for len(b) > 0 {
		if m.named && e.state == atLine && !e.begun {
			end := 0
			if lf {
				end = after(b, "\n\n")
				lf = end > 0
			}
			if !lf && crlf {
				end = after(b, "\r\n\r\n")
				crlf = end > 0
			}
			if end > 0 {
				// Wherever lines end within, here an event has ended.
				if !m.dull(b[:end]) {
					e.readLines(m, b[:end])
				}
				b = b[end:]
				continue
			}
		}
		// One line, until the model is known and an event begins.
		n := len(b)
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			n = i + 1
		}
		e.readLines(m, b[:n])
		b = b[n:]
	}
}

// after returns where the first sep in b ends, or zero.
func after(b []byte, sep string) int {
	if i := bytes.Index(b, []byte(sep)); i >= 0 {
		return i + len(sep)
	}
	return 0
}

// dull reports whether there is certainly no usage object in the events: every
// "usage" in them is followed by something else than the start of an object.
// Quotes within strings are escaped, so that none of those is found here.
func (m *Meter) dull(b []byte) bool {
	name := `"usage"`
	if m.kind == Contents {
		name = `"usageMetadata"`
	}
	for {
		i := bytes.Index(b, []byte(name))
		if i < 0 {
			return true
		}
		b = b[i+len(name):]
		colon := false
	after:
		for _, c := range b {
			switch {
			case c == ' ' || c == '\t':
			case c == ':' && !colon:
				colon = true
			case c == '{' && colon, c == '\n', c == '\r': // or the next line goes on with it
				return false
			default:
				break after
			}
		}
	}
}

// readLines reads on, line by line.
func (e *eventReader) readLines(m *Meter, b []byte) {
	lf, cr := -1, -1 // where the next ones are; before the line if not looked for
	for at := 0; at < len(b); {
		if e.cr {
			e.cr = false
			if b[at] == '\n' {
				at++
				continue
			}
		}
		if lf < at {
			lf = indexFrom(b, at, '\n')
		}
		if cr < at {
			cr = indexFrom(b, at, '\r')
		}
		end := min(lf, cr)
		e.readLine(m, b[at:end])
		if end == len(b) {
			return
		}
		e.endLine(m)
		e.cr = b[end] == '\r'
		at = end + 1
	}
}

// indexFrom returns where the next c is, or the length of b if there is none.
func indexFrom(b []byte, at int, c byte) int {
	if i := bytes.IndexByte(b[at:], c); i >= 0 {
		return at + i
	}
	return len(b)
}

// readLine reads a piece of a line.
func (e *eventReader) readLine(m *Meter, b []byte) {
	const data = "data"
	for len(b) > 0 {
		switch e.state {
		case atTop:
			switch {
			case b[0] != bom[e.seen]:
				e.state = atLine
				if e.seen > 0 { // a broken mark is part of a name
					e.state = inOther
				}
				e.seen = 0
				continue
			case e.seen+1 == len(bom):
				e.state, e.seen = atLine, 0
			default:
				e.seen++
			}
			b = b[1:]
		case atLine, inField:
			switch {
			case e.seen < len(data) && b[0] == data[e.seen]:
				e.state = inField
				e.seen++
			case e.seen == len(data) && b[0] == ':':
				e.state = atData
				e.beginData(m)
			default:
				e.state = inOther
			}
			b = b[1:]
		case atData:
			e.state = inData
			if b[0] == ' ' {
				b = b[1:]
			}
		case inData:
			m.scan.read(m, b)
			return
		case inOther:
			return
		}
	}
}

// beginData begins a line of data. From the second on, it is on a line of its
// own in the document, too.
func (e *eventReader) beginData(m *Meter) {
	if !e.begun {
		e.begun = true
		m.scan.reset()
		return
	}
	m.scan.read(m, []byte{'\n'})
}

// endLine ends a line; an empty one ends the event.
func (e *eventReader) endLine(m *Meter) {
	if e.state == atLine || e.state == atTop && e.seen == 0 {
		e.begun = false
	}
	e.state, e.seen = atLine, 0
}
