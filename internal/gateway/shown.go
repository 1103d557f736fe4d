package gateway

import (
	"bytes"
	"html"
	"strconv"
	"unicode/utf8"
)

// shown reports whether a text has the key in it, as it is or escaped: an error
// quotes what it was sent in JSON, in a URL or in HTML, and in JSON again what
// came from somebody else.
func shown(text []byte, key string) bool {
	k := []byte(key)
	json := withoutJSON(text)
	for _, t := range [][]byte{
		text, json, withoutJSON(json), withoutPercent(text), withoutPercent(json), []byte(html.UnescapeString(string(text))), []byte(html.UnescapeString(string(json))),
	} {
		if bytes.Contains(t, k) {
			return true
		}
	}
	return false
}

// withoutJSON undoes the escapes of JSON strings, wherever they stand.
func withoutJSON(text []byte) []byte {
	if !bytes.ContainsRune(text, '\\') {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		i++
		if text[i] == 'u' && i+4 < len(text) {
			if n, err := strconv.ParseUint(string(text[i+1:i+5]), 16, 16); err == nil {
				out = utf8.AppendRune(out, rune(n))
				i += 4
				continue
			}
		}
		out = append(out, text[i]) // of "\n" and its like a key has none
	}
	return out
}

// withoutPercent undoes the escapes of URLs, wherever they stand. A key has no
// space in it, so it does not matter what plus stands for.
func withoutPercent(text []byte) []byte {
	if !bytes.ContainsRune(text, '%') {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if n, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}
