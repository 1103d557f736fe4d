package journal

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unicode/utf8"

	"github.com/gatehousehq/gatehouse/internal/usage"
)

// version is that of the form in which records are written. Entries of a later
// one are left where they are, for a program that knows it. Version 1 does not have
// the providers of attempts.
const version = 2

// maxString is the longest text that is written; longer ones are cut.
const maxString = 1 << 10

// noTime stands for the zero time, which has no number of nanoseconds.
const noTime = math.MinInt64

// appendRecord appends a record: numbers as varints, texts after their lengths,
// all in the order of the version.
func appendRecord(b []byte, r *usage.Record) []byte {
	for _, s := range [...]string{
		r.ID, r.TokenID, r.Token, r.OwnerID, r.Client, r.ProviderID, r.Provider,
		r.Model, r.ActualModel, r.Endpoint, r.Path, r.Reason,
	} {
		b = appendString(b, s)
	}
	b = appendTime(b, r.Began)
	for _, n := range [...]int64{
		int64(r.Status), int64(r.FirstByte), int64(r.Duration), r.RequestBytes, r.ResponseBytes,
		r.Tokens.Input, r.Tokens.Output, r.Tokens.CacheRead, r.Tokens.CacheWrite, r.Tokens.Reasoning,
	} {
		b = binary.AppendVarint(b, n)
	}
	b = append(b, flag(r.Tokens.Known))
	b = binary.AppendUvarint(b, uint64(len(r.Attempts)))
	for i := range r.Attempts {
		a := &r.Attempts[i]
		b = appendString(b, a.KeyID)
		b = appendString(b, a.Outcome)
		b = appendTime(b, a.Began)
		b = binary.AppendVarint(b, int64(a.Status))
		b = binary.AppendVarint(b, int64(a.Duration))
		b = append(b, flag(a.BilledTwice))
		b = appendString(b, a.ProviderID)
		b = appendString(b, a.Provider)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	if len(s) > maxString {
		cut := maxString
		for cut > maxString-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, noTime)
	}
	return binary.AppendVarint(b, t.UnixNano())
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

var errMalformed = errors.New("the entry is malformed")

// decodeRecord reads what the appendRecord of a version wrote. Its texts share one
// copy of b.
func decodeRecord(version byte, b []byte) (usage.Record, error) {
	d := decoder{b: b, s: string(b)}
	var r usage.Record
	for _, s := range [...]*string{
		&r.ID, &r.TokenID, &r.Token, &r.OwnerID, &r.Client, &r.ProviderID, &r.Provider,
		&r.Model, &r.ActualModel, &r.Endpoint, &r.Path, &r.Reason,
	} {
		*s = d.text()
	}
	r.Began = d.time()
	r.Status = int(d.number())
	r.FirstByte, r.Duration = time.Duration(d.number()), time.Duration(d.number())
	r.RequestBytes, r.ResponseBytes = d.number(), d.number()
	t := &r.Tokens
	t.Input, t.Output, t.CacheRead, t.CacheWrite, t.Reasoning = d.number(), d.number(), d.number(), d.number(), d.number()
	t.Known = d.flag()
	// An attempt has six bytes at least, so that no number takes more memory than
	// there are bytes.
	if n := d.count(); n > 0 && n <= uint64(len(d.b)/6) {
		r.Attempts = make([]usage.Attempt, n)
	} else if n > 0 {
		d.bad = true
	}
	for i := range r.Attempts {
		r.Attempts[i] = usage.Attempt{
			KeyID: d.text(), Outcome: d.text(), Began: d.time(), Status: int(d.number()),
			Duration: time.Duration(d.number()), BilledTwice: d.flag(),
		}
		if version > 1 {
			r.Attempts[i].ProviderID, r.Attempts[i].Provider = d.text(), d.text()
		}
	}
	if d.bad || len(d.b) > 0 {
		return usage.Record{}, errMalformed
	}
	return r, nil
}

// A decoder reads from b, whose text is also the end of s. After the first thing
// that is not there all others are zero.
type decoder struct {
	b   []byte
	s   string
	bad bool
}

func (d *decoder) number() int64 {
	n, size := binary.Varint(d.b)
	if d.took(size) {
		return n
	}
	return 0
}

func (d *decoder) count() uint64 {
	n, size := binary.Uvarint(d.b)
	if d.took(size) {
		return n
	}
	return 0
}

func (d *decoder) took(size int) bool {
	if size <= 0 || d.bad {
		d.bad = true
		return false
	}
	d.b = d.b[size:]
	return true
}

func (d *decoder) text() string {
	n := d.count()
	if n > uint64(len(d.b)) {
		d.bad = true
	}
	if d.bad {
		return ""
	}
	from := len(d.s) - len(d.b)
	d.b = d.b[n:]
	return d.s[from : from+int(n)]
}

func (d *decoder) time() time.Time {
	n := d.number()
	if n == noTime || d.bad {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (d *decoder) flag() bool {
	if d.bad || len(d.b) == 0 || d.b[0] > 1 {
		d.bad = true
		return false
	}
	set := d.b[0] == 1
	d.b = d.b[1:]
	return set
}
