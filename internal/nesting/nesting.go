// Package nesting tells whether a document is JSON, and not nested too deep, before
// anybody looks into it who recurses: gjson does to check a document, and a few
// megabytes of brackets take the whole stack, which ends the process.
//
// It takes what encoding/json takes, in a fifth of its time or less where most of a
// document is text, as it is in requests. It is a pure function of bytes and may be
// called concurrently.
package nesting

import (
	"encoding/binary"
	"math/bits"
)

// Max is deeper than any body that people send, and far from any stack's end.
const Max = 1000

// Valid reports whether b is one JSON value, with no more than [Max] brackets open
// anywhere in it.
func Valid[T []byte | string](b T) bool { return valid(b, Max, nil) }

// A Span is where something stands: b[From:To].
type Span struct{ From, To int }

// Members is Valid, and calls each for the members of the outermost object, if that
// is what b is: with the name, quotes and escapes included, and with the value. What
// it was told counts only if b turns out to be valid.
func Members(b []byte, each func(name, value Span)) bool { return valid(b, Max, each) }

// valid is Members with another limit, which is no more than Max; each may be nil.
func valid[T []byte | string](b T, limit int, each func(name, value Span)) bool {
	var objects [(Max + 63) / 64]uint64 // a set bit is an object that is open at that depth
	depth := 0
	var of, value int // where the member of the outermost object begins that is read, and its value
	i := space(b, 0)
	for {
		if i >= len(b) {
			return false
		}
		switch c := b[i]; c {
		case '{', '[':
			if depth == limit {
				return false
			}
			i = space(b, i+1)
			if i < len(b) && b[i] == c+2 { // it is empty; in ASCII both end two after they begin
				i++
				break
			}
			word, bit := depth/64, uint64(1)<<(depth%64)
			depth++
			if c == '[' {
				objects[word] &^= bit
				continue
			}
			objects[word] |= bit
			begun := i
			if i = name(b, i); i < 0 {
				return false
			}
			if depth == 1 {
				of, value = begun, i
			}
			continue
		case '"':
			i = text(b, i+1)
		case 't':
			i = literal(b, i, "true")
		case 'f':
			i = literal(b, i, "false")
		case 'n':
			i = literal(b, i, "null")
		default:
			i = number(b, i)
		}
		if i < 0 {
			return false
		}
		// A value is over. So may be what it is in.
		for more := false; !more; {
			if each != nil && depth == 1 && objects[0]&1 == 1 {
				each(Span{of, text(b, of+1)}, Span{value, i})
			}
			i = space(b, i)
			if depth == 0 || i == len(b) {
				return depth == 0 && i == len(b)
			}
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			switch {
			case b[i] == ',':
				more = true
				i = space(b, i+1)
				if !object {
					break
				}
				begun := i
				if i = name(b, i); i < 0 {
					return false
				}
				if depth == 1 {
					of, value = begun, i
				}
			case object && b[i] == '}', !object && b[i] == ']':
				depth--
				i++
			default:
				return false
			}
		}
	}
}

// The functions below take the place where something begins and return the one
// after it; -1 is that it does not.

func space[T []byte | string](b T, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// name is of a member, with its colon and the space after that.
func name[T []byte | string](b T, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	if i = text(b, i+1); i < 0 {
		return -1
	}
	if i = space(b, i); i >= len(b) || b[i] != ':' {
		return -1
	}
	return space(b, i+1)
}

func literal[T []byte | string](b T, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func number[T []byte | string](b T, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i
}

// digits is one or more.
func digits[T []byte | string](b T, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

// text is what follows the quote that begins a string.
func text[T []byte | string](b T, i int) int {
	for {
		i = plain(b, i)
		if i >= len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = escape(b, i+1); i < 0 {
				return -1
			}
		case c < ' ':
			return -1
		default:
			i++
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain goes over what needs no look, eight bytes at a time: no quote, backslash or
// control character. It stops at one, or less than eight bytes before the end.
func plain[T []byte | string](b T, i int) int {
	for ; len(b)-i >= 8; i += 8 {
		var eight [8]byte
		copy(eight[:], b[i:i+8])
		w := binary.LittleEndian.Uint64(eight[:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		// Each term has the high bit of the bytes that are below what is taken away. A
		// borrow can set it in the next ones too, so only the lowest counts.
		if stop := ((w-ones*' ')&^w | (quote-ones)&^quote | (slash-ones)&^slash) & highs; stop != 0 {
			return i + bits.TrailingZeros64(stop)/8
		}
	}
	return i
}

// escape is what follows a backslash.
func escape[T []byte | string](b T, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return -1
		}
		for _, c := range []byte(b[i+1 : i+5]) {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}
