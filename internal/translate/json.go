package translate

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// A lit is what stands between the quotes of a JSON string, escaped as it came.
// Most text is passed on as it is, and not looked into.
type lit string

// litOf returns the text of a value; of one that is no string, none.
func litOf(v gjson.Result) lit {
	if v.Type != gjson.String || len(v.Raw) < 2 {
		return ""
	}
	return lit(v.Raw[1 : len(v.Raw)-1])
}

func escape(s string) lit {
	if plain(s) {
		return lit(s)
	}
	return lit(appendEscaped(make([]byte, 0, len(s)+len(s)/16+8), s))
}

// plain reports whether s is the same when escaped.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendEscaped appends s as it stands between quotes.
func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, s[from:]...)
}

// text returns what it says.
func (l lit) text() string {
	if strings.IndexByte(string(l), '\\') < 0 {
		return string(l)
	}
	return gjson.Parse(`"` + string(l) + `"`).Str
}

// A writer builds JSON by appending. It puts commas where they belong, by the
// byte before: no value ends as an opening does.
type writer struct{ b []byte }

func (w *writer) comma() {
	if len(w.b) == 0 {
		return
	}
	switch w.b[len(w.b)-1] {
	case '{', '[', ':', ' ', '\n':
	default:
		w.b = append(w.b, ',')
	}
}

func (w *writer) open(c byte) {
	w.comma()
	w.b = append(w.b, c)
}

func (w *writer) shut(c byte) { w.b = append(w.b, c) }

// key begins a member. Names are ours, and need no escapes.
func (w *writer) key(name string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

// raw writes JSON as it is.
func (w *writer) raw(s string) {
	w.comma()
	w.b = append(w.b, s...)
}

func (w *writer) lit(l lit) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, l...)
	w.b = append(w.b, '"')
}

func (w *writer) str(s string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = appendEscaped(w.b, s)
	w.b = append(w.b, '"')
}

func (w *writer) int(n int64) {
	w.comma()
	w.b = strconv.AppendInt(w.b, n, 10)
}

// Members in one.

func (w *writer) setRaw(name, raw string) { w.key(name); w.raw(raw) }
func (w *writer) setLit(name string, l lit) {
	w.key(name)
	w.lit(l)
}
func (w *writer) setStr(name, s string)       { w.key(name); w.str(s) }
func (w *writer) setInt(name string, n int64) { w.key(name); w.int(n) }

// orNull writes text, or null if there is none.
func (w *writer) orNull(name string, l lit) {
	if l == "" {
		w.setRaw(name, "null")
		return
	}
	w.setLit(name, l)
}

// number returns a value as it was written, if it is a number.
func number(v gjson.Result) (string, bool) { return v.Raw, v.Type == gjson.Number }

// count returns a value that counts something; of one that does not, zero.
func count(v gjson.Result) int64 {
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if v.Type != gjson.Number || err != nil || n < 0 {
		return 0
	}
	return n
}
