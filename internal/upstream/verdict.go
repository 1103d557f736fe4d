package upstream

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

var errBadPath = errors.New("the path is not well formed")

// A Verdict is what a response of status 400 or above says about the key that
// was used.
type Verdict int

// The verdicts.
const (
	// ClientError: the request itself is at fault, and no key would help.
	ClientError Verdict = iota
	// Unavailable: the upstream is at fault; another key may reach a part of it
	// that works.
	Unavailable
	// RateLimited: the key has used up its allowance for now.
	RateLimited
	// QuotaExhausted: there is no credit behind the key.
	QuotaExhausted
	// Refused: the key is not, or no longer, a valid credential.
	Refused
	// NotPermitted: the key is valid, but may not do what was asked; another
	// one might. This says nothing of the key's health: else a client could put
	// a key out of service by asking for a model that it may not use.
	NotPermitted
)

// ByStatus returns what the status alone says. A 403 is left to the client,
// since more often than not it is about the request.
func ByStatus(status int) Verdict {
	switch {
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired:
		return Refused
	case status == http.StatusRequestTimeout, status >= 500:
		return Unavailable
	}
	return ClientError
}

// A Detail is what the error bodies of the dialects have in common.
type Detail struct {
	Type    string
	Code    string
	Message string
}

// ParseDetail reads {"error":{"type","code","message"}}. A body that is
// something else gives the zero Detail.
func ParseDetail(body []byte) Detail {
	var doc struct {
		Error json.RawMessage `json:"error"`
	}
	var d struct {
		Type    any `json:"type"`
		Code    any `json:"code"` // some servers send a number
		Message any `json:"message"`
	}
	if json.Unmarshal(body, &doc) != nil || json.Unmarshal(doc.Error, &d) != nil {
		return Detail{}
	}
	str := func(v any) string { s, _ := v.(string); return s }
	return Detail{Type: str(d.Type), Code: str(d.Code), Message: str(d.Message)}
}

// Begins reports whether the message begins with one of the phrases. Only the
// beginning counts: vendors quote what the client sent further on, and a client
// must not be able to speak in the vendor's name.
func (d Detail) Begins(phrases ...string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool {
		return len(d.Message) >= len(p) && strings.EqualFold(d.Message[:len(p)], p)
	})
}

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil { // never for a string
		return append(dst, `""`...)
	}
	return append(dst, b...)
}
