// Package secret holds values that must never be printed, logged or stored in
// the clear.
//
// A [Text] redacts itself in every way the standard library has of turning a
// value into text. What it holds comes out by [Text.Reveal] alone, which is
// easy to search for.
package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"unique"
)

// Redacted is what a Text shows of itself.
const Redacted = "[redacted]"

// A Text is a secret string in one of two states: open, as the program uses
// it, or sealed, as the database keeps it. The zero Text is empty. A Text is a
// plain value that never changes: it can be compared with ==.
type Text struct {
	// A handle is a pointer that compares like the string behind it. It is
	// what fmt shows for %p, the one verb under which it does not ask Format.
	value  unique.Handle[string]
	sealed bool
}

// New returns an open secret.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{value: unique.Make(s)}
}

// FromSealed returns a secret as it was read from storage. Nothing stored is
// the zero Text.
func FromSealed(b []byte) Text {
	if len(b) == 0 {
		return Text{}
	}
	return Text{value: unique.Make(string(b)), sealed: true}
}

// Reveal returns the secret in the clear, or "" if t is sealed.
func (t Text) Reveal() string {
	if t.sealed || t.IsZero() {
		return ""
	}
	return t.value.Value()
}

// Sealed returns the stored form, or nil if t is open.
func (t Text) Sealed() []byte {
	if !t.sealed {
		return nil
	}
	return []byte(t.value.Value())
}

// IsSealed reports whether t is in the form that may be stored.
func (t Text) IsSealed() bool { return t.sealed }

// IsZero reports whether t holds nothing at all.
func (t Text) IsZero() bool { return t == Text{} }

// hintFrom is the length in characters at which a hint begins to show anything.
const hintFrom = 20

// Hint returns what may be shown of an open secret: its first three and last
// four characters, or nothing at all if it has fewer than 20.
func (t Text) Hint() string {
	r := []rune(t.Reveal())
	if len(r) < hintFrom {
		return ""
	}
	return string(r[:3]) + "…" + string(r[len(r)-4:])
}

// String returns [Redacted].
func (Text) String() string { return Redacted }

// GoString returns a redacted form for %#v.
func (Text) GoString() string { return "secret.Text(" + Redacted + ")" }

// Format redacts t under every verb and flag.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) } // fmt has nowhere to report it

// LogValue redacts t in structured logs.
func (Text) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText redacts t in every encoding that knows text.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON redacts t.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// UnmarshalJSON takes a JSON string as an open secret. Its errors do not carry
// the value.
func (t *Text) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return errors.New("expected a string")
	}
	*t = New(s)
	return nil
}
