package usage

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxUsage is the longest usage object that is read; vendors' have a few
	// hundred bytes. A longer one says nothing.
	maxUsage = 4 << 10
	// maxName is the longest name of a member that is looked for.
	maxName = len("usageMetadata")
)

// A scanner reads one JSON document in pieces, or a list of them if the kind of
// the meter has lists, and tells a meter of the members "usage" and "model" (by
// the names of the kind) at its top, or in the one member of the top that the
// kind has for them. All else is skipped without being looked into, so
// that neither nesting nor length cost memory. It does not check the document:
// of one that is not JSON it may find something, but never more than is there.
type scanner struct {
	state scanState
	// listed is set within a list of documents.
	listed bool
	// level is 1 among the members of the document, 2 among those of a member
	// of it that is looked into.
	level int
	// want is what the value is wanted for that comes or is being read.
	want wanted
	// depth is how many brackets are open in a value that is skipped.
	depth int
	// quoted is set within a string of such a value.
	quoted bool
	// odd is set if the bytes of the string so far end with an odd number of
	// backslashes; slashed, if there was any in a model.
	odd, slashed bool

	name  [maxName]byte
	named int    // bytes of the name; more than maxName if it is too long
	held  []byte // grows to what values need: most of a stream is without any
	holds int    // bytes of the value; more than maxUsage if it is too long
}

type scanState uint8

const (
	atStart scanState = iota
	beforeName
	inName
	beforeColon
	beforeValue
	inString // a value
	inScalar
	inNested
	atEnd // whatever comes is not looked at
)

type wanted uint8

const (
	nothing wanted = iota
	theUsage
	theModel
	theMembers // of an object that has usage and model
)

func (s *scanner) reset() {
	s.state, s.listed, s.level, s.want = atStart, false, 0, nothing
}

// read reads on.
func (s *scanner) read(m *Meter, b []byte) {
	for len(b) > 0 {
		switch s.state {
		case atEnd:
			return
		case inName:
			b = s.readName(m, b)
		case inString:
			b = s.readString(m, b)
		case inNested:
			b = s.readNested(m, b)
		case inScalar:
			if c := b[0]; c == ',' || c == '}' {
				s.state = beforeName
			} else {
				b = b[1:]
			}
		default:
			s.step(m, b[0])
			b = b[1:]
		}
	}
}

// step takes a byte between names and values.
func (s *scanner) step(m *Meter, c byte) {
	switch c {
	case ' ', '\t', '\r', '\n':
		return
	}
	switch s.state {
	case atStart:
		switch c {
		case bom[0], bom[1], bom[2]: // as some servers write it
		case '{':
			s.level, s.state = 1, beforeName
		case '[':
			if m.kind != Contents || s.listed {
				s.state = atEnd
			}
			s.listed = true
		case ',':
			if !s.listed {
				s.state = atEnd
			}
		default:
			s.state = atEnd
		}
	case beforeName:
		switch c {
		case ',':
		case '"':
			s.state, s.want, s.named, s.odd = inName, nothing, 0, false
		case '}':
			if s.level--; s.level == 0 {
				s.state = atEnd
				if s.listed {
					s.state = atStart // the next one may follow
				}
			}
		default:
			s.state = atEnd
		}
	case beforeColon:
		s.state = beforeValue
		if c != ':' {
			s.state = atEnd
		}
	case beforeValue:
		s.begin(c)
	}
}

// begin begins a value.
func (s *scanner) begin(c byte) {
	s.holds, s.odd, s.slashed = 0, false, false
	switch {
	case c == '"':
		s.state = inString
	case c == '{' && s.want == theMembers:
		s.level, s.state = s.level+1, beforeName
	case c == '{' || c == '[':
		s.state, s.depth, s.quoted = inNested, 1, false
		if c == '{' && s.want == theUsage {
			s.hold([]byte{c})
		} else {
			s.want = nothing
		}
	case c == ',' || c == '}' || c == ']' || c == ':':
		s.state = atEnd
	default:
		s.state = inScalar
	}
}

// readName reads the name of a member up to its end, and decides what to do
// with its value.
func (s *scanner) readName(m *Meter, b []byte) []byte {
	n, closed := s.endOfString(b)
	if s.named+n <= maxName {
		copy(s.name[s.named:], b[:n])
	}
	s.named = min(s.named+n, maxName+1)
	if !closed {
		return nil
	}
	s.state = beforeColon
	if s.named <= maxName {
		s.want = m.wants(s.name[:s.named], s.level)
	}
	return b[n+1:]
}

// wants says what a member is wanted for.
func (m *Meter) wants(name []byte, level int) wanted {
	if m.kind == Contents {
		switch {
		case string(name) == "usageMetadata":
			return theUsage
		case string(name) == "modelVersion" && !m.named:
			return theModel
		}
		return nothing
	}
	switch string(name) {
	case "usage":
		return theUsage
	case "model":
		if !m.named {
			return theModel
		}
	case "response": // in an event of Responses
		if level == 1 && m.kind == Responses {
			return theMembers
		}
	case "message": // in message_start
		if level == 1 && m.kind == Messages {
			return theMembers
		}
	case "x_groq": // where Groq has the usage of a stream that did not ask for it
		if level == 1 && m.kind == Completions {
			return theMembers
		}
	}
	return nothing
}

// readString reads a value that is a string.
func (s *scanner) readString(m *Meter, b []byte) []byte {
	n, closed := s.endOfString(b)
	if s.want == theModel {
		s.hold(b[:n])
	}
	if !closed {
		return nil
	}
	if s.want == theModel {
		m.name(s.held[:min(s.holds, len(s.held))], s.holds <= maxUsage, s.slashed)
	}
	s.state = beforeName
	return b[n+1:]
}

// readNested reads a value with brackets.
func (s *scanner) readNested(m *Meter, b []byte) []byte {
	i := 0
	for s.depth > 0 && i < len(b) {
		if s.quoted {
			n, closed := s.endOfString(b[i:])
			i += n
			if closed {
				i++
				s.quoted = false
			}
			continue
		}
		i += plain(b[i:])
		if i == len(b) {
			break
		}
		switch b[i] {
		case '"':
			s.quoted, s.odd = true, false
		case '{', '[':
			s.depth++
		case '}', ']':
			s.depth--
		}
		i++
	}
	if s.want == theUsage {
		s.hold(b[:i])
	}
	if s.depth == 0 {
		s.state = beforeName
		if s.want == theUsage && s.holds <= maxUsage {
			m.count(s.held[:s.holds])
		}
	}
	return b[i:]
}

// hold keeps bytes of a value, as long as there is room for all of it.
func (s *scanner) hold(b []byte) {
	if s.holds+len(b) <= maxUsage {
		s.held = append(s.held[:s.holds], b...)
	}
	s.holds = min(s.holds+len(b), maxUsage+1)
}

// endOfString returns how many bytes belong to the string that b goes on with,
// and whether a quote ends it there. Instead of looking at each byte, it looks
// at each quote and back from there: the quote is escaped if an odd number of
// backslashes comes before it.
func (s *scanner) endOfString(b []byte) (n int, closed bool) {
	for {
		i := bytes.IndexByte(b[n:], '"')
		end := len(b)
		if i >= 0 {
			end = n + i
		}
		run := end
		for run > n && b[run-1] == '\\' {
			run--
		}
		slashes := end - run
		if run == n && s.odd { // they began before
			slashes++
		}
		s.odd = slashes%2 == 1
		s.slashed = s.slashed || s.want == theModel && bytes.IndexByte(b[n:end], '\\') >= 0
		if i < 0 {
			return end, false
		}
		if !s.odd {
			return end, true
		}
		n, s.odd = end+1, false
	}
}

// plain returns how many bytes come before the first that is a quote or a
// bracket. It looks at eight at a time: long lists of numbers pass here.
func plain(b []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		// With this bit set, [ is {, ] is }, and a quote remains one.
		w := binary.LittleEndian.Uint64(b[i:]) | 0x20*ones
		quote, open, shut := w^'"'*ones, w^'{'*ones, w^'}'*ones
		// The high bit of a byte gets set if the byte is zero, and maybe above one
		// that is: good enough to know that there is any.
		if ((quote-ones)&^quote|(open-ones)&^open|(shut-ones)&^shut)&highs != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		switch b[i] {
		case '"', '{', '}', '[', ']':
			return i
		}
	}
	return i
}
