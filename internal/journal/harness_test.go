package journal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/journal"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// segmentBytes is the smallest segment that there is.
const segmentBytes = 64 << 10

// ways are how entries get to the file.
var ways = map[string]func(string, journal.Config) (*journal.Journal, error){
	"mapped": journal.Open,
	"plain":  journal.OpenPlain,
}

// each runs a test for each of the ways, in a bubble of its own.
func each(t *testing.T, f func(t *testing.T, open func(dir string, cfg journal.Config) *journal.Journal)) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f(t, func(dir string, cfg journal.Config) *journal.Journal {
					t.Helper()
					j, err := way(dir, small(cfg))
					if err != nil {
						t.Fatal(err)
					}
					return j
				})
			})
		})
	}
}

// small gives a journal small segments, and nobody to complain to.
func small(cfg journal.Config) journal.Config {
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = segmentBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

// A text is what was logged.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

func (x *text) logger() *slog.Logger { return slog.New(slog.NewTextHandler(x, nil)) }

// A taker is what a journal is shipped to.
type taker struct {
	mu   sync.Mutex
	recs []usage.Record
	// refuse is what it says instead of taking, if it is not nil.
	refuse error
	asked  int
}

func (k *taker) take(_ context.Context, batch []usage.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.refuse != nil {
		return k.refuse
	}
	k.recs = append(k.recs, batch...)
	return nil
}

func (k *taker) times() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

func (k *taker) set(refuse error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = refuse
}

// ids returns the ids of what was taken, in order, those of unfinished requests
// with a question mark.
func (k *taker) ids() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := []string{}
	for _, r := range k.recs {
		if r.Unfinished {
			r.ID += "?"
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// ship ships a journal until the returned function is called, which closes it.
func ship(t *testing.T, j *journal.Journal, k *taker) (end func()) {
	t.Helper()
	done := make(chan error)
	go func() { done <- j.Ship(t.Context(), k.take) }()
	for !j.Shipping() {
		runtime.Gosched()
	}
	return func() {
		t.Helper()
		if err := j.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// drain opens what is in a directory, and returns what is shipped from it.
func drain(t *testing.T, dir string, cfg journal.Config) (*taker, journal.Found) {
	t.Helper()
	j, err := journal.Open(dir, small(cfg))
	if err != nil {
		t.Fatal(err)
	}
	k := new(taker)
	found := j.Found()
	if n := j.Depth(); n != int64(found.Records+found.Unfinished) {
		t.Errorf("%d records wait, of %+v", n, found)
	}
	ship(t, j, k)()
	return k, found
}

// crashed returns a copy of the directory as a process that is killed now would
// leave it.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// record returns a record like those of the gateway.
func record(id string) *usage.Record {
	began := time.Date(2026, 3, 4, 5, 6, 7, 891, time.UTC)
	return &usage.Record{
		ID: id, TokenID: "0199c3a1-0000-7000-8000-000000000001", Token: "laptop of Zoë", OwnerID: "0199c3a1-0000-7000-8000-000000000002",
		Client: "claude-cli/2.1.330", ProviderID: "0199c3a1-0000-7000-8000-000000000003", Provider: "anthropic",
		Model: "claude-opus-4-1", ActualModel: "claude-opus-4-1-20250805", Endpoint: "messages", Path: "messages",
		Status: 200, Began: began, FirstByte: 300 * time.Millisecond, Duration: 2 * time.Second,
		Attempts: []usage.Attempt{
			{ProviderID: "0199c3a1-0000-7000-8000-000000000006", Provider: "bedrock", KeyID: "0199c3a1-0000-7000-8000-000000000004", Status: 429, Outcome: usage.Limited, Began: began, Duration: time.Millisecond},
			{KeyID: "0199c3a1-0000-7000-8000-000000000005", Status: 200, Outcome: usage.OK, Began: began.Add(time.Millisecond), Duration: time.Second},
		},
		RequestBytes: 12345, ResponseBytes: 67890,
		Tokens: usage.Tokens{Input: 25, Output: 15, CacheRead: 4096, CacheWrite: 128, Known: true},
	}
}

func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	return ids
}

// same fails if the two are not of the same ids in the same order.
func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %d: %.300q\nwant %d: %.300q", len(got), got, len(want), want)
	}
}

var errAway = errors.New("the database is away")

// fill sets every field of a struct to something.
func fill(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			*n++
			v.Set(reflect.ValueOf(time.Unix(int64(*n), int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		*n++
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		*n++
		v.SetInt(int64(*n) << 20)
	}
}
