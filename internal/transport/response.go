package transport

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
)

// A head is the head of an answer.
type head struct {
	status     int
	statusText string // with the number, as http.Response has it
	minor      int    // of HTTP/1
	header     http.Header

	length  int64 // of the body by Content-Length; -1 if it does not say
	chunked bool
	close   bool // the connection ends with the answer
}

// read reads a head from in. Limit is how long it may be; what it took is taken
// off.
func (h *head) read(in *input, limit *int) error {
	scanned := 0
	for {
		have := in.b[in.r:in.w]
		// Heads end with an empty line.
		if i := bytes.Index(have[scanned:], []byte("\r\n\r\n")); i >= 0 {
			n := scanned + i + 4
			if n > *limit {
				return errTooLong
			}
			*limit -= n
			in.r += n
			return h.parse(have[:n-2])
		}
		if err := plausible(have, scanned); err != nil {
			return err
		}
		if len(have) > *limit {
			return errTooLong
		}
		scanned = max(len(have)-3, 0)
		if err := in.fill(); err != nil {
			return err
		}
	}
}

const version = "HTTP/1."

// plausible refuses early what cannot become a head, so that its end, or ours,
// is not waited for: something else speaks there. Before scanned it looked
// already.
func plausible(have []byte, scanned int) error {
	n := min(len(have), len(version))
	if string(have[:n]) != version[:n] {
		return malformed("it does not begin like one")
	}
	for i := scanned; i < len(have); i++ {
		if have[i] == '\n' && have[i-1] != '\r' {
			return malformed("the end of a line")
		}
	}
	return nil
}

// parse parses lines, each of which ends with CRLF. It changes b.
func (h *head) parse(b []byte) error {
	*h = head{length: -1}
	line, fields, _ := bytes.Cut(b, []byte("\r\n"))
	if err := h.statusLine(line); err != nil {
		return err
	}
	if err := canonical(fields); err != nil {
		return err
	}
	if err := h.fields(string(fields)); err != nil {
		return err
	}
	switch {
	case h.chunked && h.length >= 0:
		return malformed("both Content-Length and Transfer-Encoding")
	case h.chunked && h.minor == 0:
		return malformed("Transfer-Encoding in HTTP/1.0")
	}
	return nil
}

// statusLine parses "HTTP/1.1 200 OK".
func (h *head) statusLine(line []byte) error {
	const fixed = len("HTTP/1.1 200")
	if len(line) < fixed || string(line[:len(version)]) != version || line[len(version)] != '0' && line[len(version)] != '1' || line[8] != ' ' {
		return malformed("the status line")
	}
	h.minor = int(line[len(version)] - '0')
	for _, c := range line[9:fixed] {
		if c < '0' || c > '9' {
			return malformed("the status line")
		}
		h.status = 10*h.status + int(c-'0')
	}
	if h.status < 100 || len(line) > fixed && line[fixed] != ' ' {
		return malformed("the status line")
	}
	h.close = h.minor == 0 // what it has of keep-alive is not worth the doubt
	switch rest := line[min(fixed+1, len(line)):]; {
	case string(rest) == http.StatusText(h.status) && h.status == http.StatusOK:
		h.statusText = "200 OK"
	case !isFieldValue(string(rest)):
		return malformed("the status line")
	default:
		h.statusText = string(line[9:])
	}
	return nil
}

// canonical checks lines of "name: value" and puts the names, in place, into the
// form that http.Header has.
func canonical(b []byte) error {
	for len(b) > 0 {
		upper, i := true, 0
		for ; i < len(b) && b[i] != ':'; i++ {
			c := b[i]
			if !tokens[c] {
				return malformed("the name of a header")
			}
			switch {
			case upper && 'a' <= c && c <= 'z':
				b[i] = c - ('a' - 'A')
			case !upper && 'A' <= c && c <= 'Z':
				b[i] = c + ('a' - 'A')
			}
			upper = c == '-'
		}
		if i == 0 || i == len(b) {
			return malformed("a line without a name")
		}
		for i++; i < len(b) && b[i] != '\r'; i++ {
			if c := b[i]; c < ' ' && c != '\t' || c == 0x7f {
				return malformed("the value of a header")
			}
		}
		if i+1 >= len(b) || b[i+1] != '\n' {
			return malformed("the end of a line")
		}
		b = b[i+2:]
	}
	return nil
}

// fields takes lines that are canonical. Names and values are parts of s.
func (h *head) fields(s string) error {
	n := strings.Count(s, "\n")
	h.header = make(http.Header, n)
	values := make([]string, n)
	for i := 0; s != ""; i++ {
		line, rest, _ := strings.Cut(s, "\r\n")
		s = rest
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch name {
		case "Content-Length":
			if err := h.contentLength(value); err != nil {
				return err
			}
		case "Transfer-Encoding":
			if h.chunked || !strings.EqualFold(value, "chunked") {
				return malformed("a Transfer-Encoding that is not chunked")
			}
			h.chunked = true
			continue
		case "Connection":
			h.close = h.close || hasOption(value, "close")
		}
		if before, ok := h.header[name]; ok {
			if name != "Content-Length" {
				h.header[name] = append(before, value)
			}
			continue
		}
		values[i] = value
		h.header[name] = values[i : i+1 : i+1]
	}
	return nil
}

// contentLength takes a Content-Length: digits alone, and the same if it comes
// again.
func (h *head) contentLength(value string) error {
	for i := 0; i < len(value); i++ {
		if value[i] < '0' || value[i] > '9' {
			return malformed("Content-Length")
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || h.length >= 0 && h.length != n {
		return malformed("Content-Length")
	}
	h.length = n
	return nil
}

// hasOption reports whether the value of a Connection header has an option.
func hasOption(value, name string) bool {
	for option := range strings.SplitSeq(value, ",") {
		if strings.EqualFold(strings.Trim(option, " \t"), name) {
			return true
		}
	}
	return false
}
