package crash_test

import (
	"bytes"
	"database/sql"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/datadir"
)

// TestEachBreachIsFound breaks each promise alone, in the files or in what is
// said to have been promised, and holds that it is found and named.
func TestEachBreachIsFound(t *testing.T) {
	seed := newSeed(t)
	// The last change is one of many rows, whatever the others are.
	rec := record(t, seed, asked, func(w *world) []step { return append(brief(w), seedProviders) })
	disk := newDisk()
	for _, o := range rec.trace {
		disk.do(o)
	}
	whole := state{point: len(rec.trace), files: disk.cut(choice{kind: keepAll})}
	n := len(rec.images)
	tamper := func(statement string) func(t *testing.T, dir string, images []image) []image {
		return func(t *testing.T, dir string, images []image) []image {
			t.Helper()
			db, err := sql.Open("sqlite", filepath.Join(dir, datadir.Database))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return images
		}
	}
	tests := map[string]struct {
		want violation
		do   func(t *testing.T, dir string, images []image) []image
	}{
		"nothing": {"", func(_ *testing.T, _ string, images []image) []image { return images }},
		"a page is garbage": {corrupt, func(t *testing.T, dir string, images []image) []image {
			content := slices.Clone(whole.files[datadir.Database])
			for at := 4096; at < len(content); at += 8192 {
				copy(content[at:], bytes.Repeat([]byte{0xa5}, 4096))
			}
			if err := os.WriteFile(filepath.Join(dir, datadir.Database), content, 0o600); err != nil {
				t.Fatal(err)
			}
			return images
		}},
		"the database is gone": {lost, func(t *testing.T, dir string, images []image) []image {
			if err := os.Remove(filepath.Join(dir, datadir.Database)); err != nil {
				t.Fatal(err)
			}
			return images
		}},
		"one more was acknowledged":      {lost, func(_ *testing.T, _ string, images []image) []image { return append(images, image{rows: "later"}) }},
		"a row was changed":              {halved, tamper("UPDATE ai_providers SET display_name = 'other'")},
		"a row is gone":                  {halved, tamper("DELETE FROM ai_provider_keys WHERE id = (SELECT min(id) FROM ai_provider_keys)")},
		"an entry was changed":           {unproved, tamper("UPDATE audit_logs SET target = 'other' WHERE entry_index = (SELECT max(entry_index) FROM audit_logs)")},
		"the head of the log is another": {unproved, tamper("UPDATE audit_head SET edge = zeroblob(length(edge))")},
		"a change without its entry": {unaudited, func(_ *testing.T, _ string, images []image) []image {
			images[n-1].log, images[n-2].log = images[n-2].log, images[n-1].log
			return images
		}},
		"a secret is another": {undecryptable, func(_ *testing.T, _ string, images []image) []image {
			held := maps.Clone(images[n-1].held)
			for id := range held {
				held[id] = "other"
			}
			images[n-1].held = held
			return images
		}},
		"a secret is not there": {undecryptable, func(_ *testing.T, _ string, images []image) []image {
			held := maps.Clone(images[n-1].held)
			held["another id"] = "key"
			images[n-1].held = held
			return images
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := scratch(t)
			if err := whole.write(dir); err != nil {
				t.Fatal(err)
			}
			images := tt.do(t, dir, slices.Clone(rec.images))
			b := examine(t.Context(), dir, rec.kek, images, len(images))
			var got violation
			if b != nil {
				got = b.kind
			}
			if got != tt.want {
				t.Errorf("got %q, want %q: %+v", got, tt.want, b)
			}
		})
	}
}
