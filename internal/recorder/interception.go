package recorder

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// maxText is how many bytes of a text are kept, and maxAttempts how many tries.
const (
	maxText     = 256
	maxAttempts = 64
)

// interception returns what is written of a record, and false if that is
// nothing: it has no id in the form of ours, or nobody's token made the request.
func interception(rec *usage.Record) (store.Interception, bool) {
	if !isID(rec.ID) || rec.TokenID == "" {
		return store.Interception{}, false
	}
	out := store.Interception{
		ID: rec.ID, At: rec.Began.UTC().Truncate(time.Microsecond), // as it is kept, when it is shown live, too
		TokenID: clean(rec.TokenID), TokenName: clean(rec.Token), OwnerID: clean(rec.OwnerID), Client: clean(rec.Client),
		ProviderID: clean(rec.ProviderID), Provider: clean(rec.Provider),
		Model: clean(rec.Model), ActualModel: clean(rec.ActualModel), Endpoint: clean(rec.Endpoint), Path: clean(rec.Path),
		Status: rec.Status, Reason: clean(rec.Reason), Outcome: store.Complete,
		FirstByte: rec.FirstByte, Duration: rec.Duration, RequestBytes: rec.RequestBytes, ResponseBytes: rec.ResponseBytes,
		Tokens:   store.TokenCounts(rec.Tokens),
		Attempts: make([]store.Attempt, 0, len(rec.Attempts)),
	}
	if rec.Unfinished {
		out.Outcome = store.Unknown
	}
	for _, a := range rec.Attempts[:min(len(rec.Attempts), maxAttempts)] {
		out.Attempts = append(out.Attempts, store.Attempt{
			ProviderID: clean(a.ProviderID), Provider: clean(a.Provider), KeyID: clean(a.KeyID), Status: a.Status, Outcome: clean(a.Outcome),
			Began: a.Began.UTC(), Duration: a.Duration, BilledTwice: a.BilledTwice,
		})
	}
	if n := len(rec.Attempts); n > 0 {
		out.KeyID = clean(rec.Attempts[n-1].KeyID)
	}
	return out, true
}

// isID reports whether s is a UUID in the form that the store has ids in.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// clean returns s as both databases take it and a terminal may show it: in UTF-8,
// without what is not printed, and of a bounded length.
func clean(s string) string {
	plain := len(s) <= maxText
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] <= '~'
	}
	if plain {
		return s
	}
	if len(s) > maxText {
		s = s[:maxText]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
