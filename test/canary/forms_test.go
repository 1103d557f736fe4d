package canary_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// part is how many characters of a secret may not be seen together.
const part = 10

// A form is a way in which a secret may be written down.
type form struct {
	name string
	// write returns every text that a part of a secret is found by in this form:
	// what does not depend on what stands before and behind it.
	write func(part []byte) []string
}

// forms are all that are searched for. What an earlier one finds, too, counts for
// that one.
var forms = []form{
	{"raw", func(p []byte) []string { return []string{string(p)} }},
	{"base64", func(p []byte) []string { return inBase64(base64.RawStdEncoding, p) }},
	{"base64 for URLs", func(p []byte) []string { return inBase64(base64.RawURLEncoding, p) }},
	{"hex", func(p []byte) []string { return []string{hex.EncodeToString(p)} }},
	{"hex in capitals", func(p []byte) []string { return []string{strings.ToUpper(hex.EncodeToString(p))} }},
	{"URL-escaped", func(p []byte) []string {
		userinfo := strings.TrimPrefix(url.UserPassword("", string(p)).String(), ":")
		all := []string{url.QueryEscape(string(p)), url.PathEscape(string(p)), userinfo, percentAll(p)}
		for _, s := range all {
			all = append(all, escape.ReplaceAllStringFunc(s, strings.ToLower))
		}
		return all
	}},
	{"JSON-escaped", func(p []byte) []string {
		if !utf8.Valid(p) {
			return nil // JSON has no bytes: they are lost, and what is in their place stands for any
		}
		return []string{inJSON(p, true), inJSON(p, false)}
	}},
	{"JSON-escaped twice", func(p []byte) []string {
		if !utf8.Valid(p) {
			return nil
		}
		return []string{inJSON([]byte(inJSON(p, true)), true), inJSON([]byte(inJSON(p, false)), false), inJSON([]byte(inJSON(p, true)), false)}
	}},
	{"quoted as in Go", func(p []byte) []string {
		return []string{unquoted(strconv.Quote(string(p))), unquoted(strconv.QuoteToASCII(string(p)))}
	}},
	{"quoted for CSV", func(p []byte) []string { return []string{strings.ReplaceAll(string(p), `"`, `""`)} }},
	{"escaped for HTML", func(p []byte) []string { return []string{html.Replace(string(p))} }},
	{"numbers", func(p []byte) []string {
		list := fmt.Sprint(p)
		list = list[1 : len(list)-1]
		return []string{list, strings.ReplaceAll(list, " ", ","), strings.ReplaceAll(list, " ", ", ")}
	}},
	{"UTF-16", func(p []byte) []string {
		if !utf8.Valid(p) {
			return nil
		}
		var little, big []byte
		for _, u := range utf16.Encode([]rune(string(p))) {
			little = append(little, byte(u), byte(u>>8))
			big = append(big, byte(u>>8), byte(u))
		}
		return []string{string(little), string(big)}
	}},
}

var (
	escape = regexp.MustCompile(`%[0-9A-F]{2}`)
	html   = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")
)

// inBase64 returns what stands for p in base64 wherever it begins: bytes are
// written in groups of three, and the digits at the edges depend on others.
func inBase64(enc *base64.Encoding, p []byte) []string {
	var out []string
	for before := range 3 {
		whole := append(make([]byte, before, before+len(p)), p...)
		digits := enc.EncodeToString(whole)
		from, to := (before*8+5)/6, len(whole)*8/6
		out = append(out, digits[from:to])
	}
	return out
}

func inJSON(p []byte, forHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(forHTML)
	if err := e.Encode(string(p)); err != nil {
		panic(err) // a string is never refused
	}
	return unquoted(strings.TrimSuffix(b.String(), "\n"))
}

func unquoted(s string) string { return s[1 : len(s)-1] }

func percentAll(p []byte) string {
	var b strings.Builder
	for _, c := range p {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// parts returns every part of a secret.
func parts(secret string) [][]byte {
	var out [][]byte
	for i := 0; i+part <= len(secret); i++ {
		out = append(out, []byte(secret[i:i+part]))
	}
	return out
}
