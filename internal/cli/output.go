package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
)

// print writes v to standard output: as JSON if that is asked for, else as the
// table that rows writes, cells separated by tabs.
func (a *app) print(cmd *cobra.Command, v any, rows func(w io.Writer)) error {
	if a.output == "json" {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	rows(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// collect returns all of a list, which is not nil.
func collect[T any](items iter.Seq2[T, error]) ([]T, error) {
	all := []T{}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

// row writes one line of a table. Nothing is shown as "-", and what could
// confuse a terminal or the table as "?".
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		if c = printable(c); c == "" {
			c = "-"
		}
		cells[i] = c
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // Flush returns the error
}

// printable replaces what a terminal would not show as it stands: what came
// from a server or a provider must not steer it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// first returns the first of what seq yields, limit at most; [] if there is none.
func first[T any](limit int, seq iter.Seq2[T, error]) ([]T, error) {
	list := []T{}
	for v, err := range seq {
		if err != nil {
			return nil, err
		}
		if list = append(list, v); len(list) == limit {
			break
		}
	}
	return list, nil
}
