package store

import (
	"iter"
	"slices"
	"strings"
)

// A Set is a list of names in a form that cannot be changed and compares with
// ==, so that records stay plain values. The zero Set is empty.
type Set struct{ joined string }

// SetOf returns a Set of names, in their order and without repetition. A name
// must not be empty or hold a line break; such names are left out.
func SetOf(names ...string) Set {
	var kept []string
	for _, n := range names {
		if n != "" && !strings.ContainsAny(n, "\n\r") && !slices.Contains(kept, n) {
			kept = append(kept, n)
		}
	}
	return Set{strings.Join(kept, "\n")}
}

// ParseSet returns the Set that [Set.String] wrote.
func ParseSet(s string) Set {
	if s == "" {
		return Set{}
	}
	return SetOf(strings.Split(s, "\n")...)
}

// String returns the names, one a line.
func (s Set) String() string { return s.joined }

// IsEmpty reports whether there is no name in s.
func (s Set) IsEmpty() bool { return s.joined == "" }

// All yields the names in order.
func (s Set) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		if s.joined == "" {
			return
		}
		for n := range strings.SplitSeq(s.joined, "\n") {
			if !yield(n) {
				return
			}
		}
	}
}

// Slice returns the names, or nil if there are none.
func (s Set) Slice() []string { return slices.Collect(s.All()) }

// MarshalText shows s in an audit diff.
func (s Set) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(s.joined, "\n", ", ")), nil
}
