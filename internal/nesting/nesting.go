// Package nesting tells how deep JSON is nested, before anybody looks into it who
// recurses: gjson does to check a document, and a few megabytes of brackets take
// the whole stack, which ends the process.
//
// It is a pure function of bytes and may be called concurrently.
package nesting

import "bytes"

// Max is deeper than any body that people send, and far from any stack's end.
const Max = 1000

// Within reports whether no more than limit brackets are open anywhere in b, which
// need not be JSON.
func Within(b []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += 1 + stringEnd(b[i+1:])
		case '{', '[':
			if depth++; depth > limit {
				return false
			}
		case '}', ']':
			depth--
		}
	}
	return true
}

// stringEnd returns where the quote is that ends the string that b goes on with:
// the first with an even number of backslashes before it.
func stringEnd(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return len(b)
		}
		at += i
		slashes := 0
		for slashes < at && b[at-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
		at++
	}
}
