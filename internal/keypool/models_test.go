package keypool_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

func limited(model string) keypool.Outcome {
	return keypool.Outcome{Reason: keypool.RateLimited, Model: model}
}

// A limit of one model leaves the key out for that one alone, and is over by
// itself, or with a success.
func TestALimitOfOneModel(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	provider := of(keys("a", "b"))
	check := func(when string, want map[string]string) {
		t.Helper()
		for model, want := range want {
			if got := ids(p.Order(provider, model)); got != want {
				t.Errorf("%s: for %q there is %q, want %q", when, model, got, want)
			}
		}
	}
	check("at first", map[string]string{"": "ab", "m": "ab", "n": "ab"})
	p.Report("a", limited("m"))
	check("limited", map[string]string{"": "ab", "m": "b", "n": "ab"})
	if s := p.State(routing.Key{ID: "a"}); s.Name != keypool.Ready {
		t.Errorf("the key as a whole is %+v", s)
	}
	if got := p.Limits("a"); len(got) != 1 || got[0] != (keypool.Limit{Model: "m", Until: c.now().Add(10 * time.Second)}) || p.Limits("b") != nil {
		t.Errorf("the limits are %v", got)
	}
	if f, ok := p.LastError("a"); !ok || f.Model != "m" || f.Reason != keypool.RateLimited {
		t.Errorf("the last error is %+v", f)
	}
	p.Report("b", keypool.Outcome{Reason: keypool.RateLimited, Model: "m", RetryAfter: 4 * time.Second})
	usable, short := p.Shortage(provider.Keys, "m")
	if usable != 0 || short.Cooling != 2 || short.Wait != 4*time.Second {
		t.Errorf("%d usable, %+v", usable, short)
	}
	if usable, _ := p.Shortage(provider.Keys, "n"); usable != 2 {
		t.Errorf("for another model %d are usable", usable)
	}
	// A success with another model, or that began before, says nothing of this one.
	p.Report("a", keypool.Outcome{Model: "n"})
	p.Report("a", keypool.Outcome{Model: "m", Began: c.now().Add(-time.Second)})
	check("after successes of something else", map[string]string{"m": "", "n": "ab"})

	c.advance(10 * time.Second)
	one := p.Order(provider, "m")
	if one.Len() != 2 {
		t.Errorf("when their time is up there are %d", one.Len())
	}
	check("while one tries them", map[string]string{"m": "ab", "n": "ab"})
	p.Report("a", limited("m")) // again, and for longer
	one.End()
	if got := p.Limits("a"); len(got) != 1 || got[0].Until.Sub(c.now()) != 20*time.Second {
		t.Errorf("the second wait is %v", got)
	}
	p.Report("a", keypool.Outcome{Model: "m"})
	p.Report("b", keypool.Outcome{Model: "m"})
	check("after a success", map[string]string{"m": "ab"})
	if p.Troubled() != 0 {
		t.Errorf("%d entries are left", p.Troubled())
	}
}

// When the wait for a model is over one request at a time is the first to try the
// key with it, in the key's own place; the others have it last.
func TestOneTriesAModelAgain(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	provider := of(keys("a", "b"))
	p.Report("a", limited("m"))
	c.advance(10 * time.Second)
	one := p.Order(provider, "m")
	if got := one.Key(0).ID; got != "a" {
		t.Errorf("the first begins with %q", got)
	}
	if m, n := ids(p.Order(provider, "m")), ids(p.Order(provider, "n")); m != "ba" || n != "ab" {
		t.Errorf("meanwhile there is %q, and %q for another model", m, n)
	}
	one.End()
	if got := ids(p.Order(provider, "m")); got != "ab" {
		t.Errorf("afterwards there is %q", got)
	}
}

// What concerns the key as a whole holds for all models, whatever is known of one.
func TestTroubleOfTheKeyIsOfAllModels(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]keypool.Outcome{
		"a refused key, though the model is known": {Reason: keypool.Unauthorized, Model: "m"},
		"no credit":                   {Reason: keypool.QuotaExhausted, Model: "m"},
		"a limit of no model we know": {Reason: keypool.RateLimited},
	} {
		c := newClock()
		p := keypool.New(c.now, keypool.Config{})
		p.Report("a", limited("m"))
		p.Report("a", o)
		for _, model := range []string{"", "m", "n"} {
			if got := ids(p.Order(of(keys("a", "b")), model)); got != "b" {
				t.Errorf("%s: for %q there is %q", name, model, got)
			}
		}
		// A success shows that the key works, and nothing of the other model.
		c.advance(time.Second)
		p.Report("a", keypool.Outcome{Model: "n"})
		if got := ids(p.Order(of(keys("a", "b")), "m")) + " " + ids(p.Order(of(keys("a", "b")), "n")); got != "b ab" {
			t.Errorf("%s: afterwards there is %q", name, got)
		}
	}
}

// However many models clients think of, a key has few entries: then the limit is
// taken for one of the key. What is over makes room.
func TestLimitsOfModelsAreBounded(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	ks := keys("a", "b")
	for i := range keypool.MaxModels {
		p.Report("a", limited(fmt.Sprint("m", i)))
	}
	if got := ids(p.Order(of(ks), "other")); got != "ab" || len(p.Limits("a")) != keypool.MaxModels {
		t.Fatalf("there is %q with %d limits", got, len(p.Limits("a")))
	}
	p.Report("a", limited("m3")) // which is known
	if got := ids(p.Order(of(ks), "other")); got != "ab" {
		t.Errorf("after a known one there is %q", got)
	}
	p.Report("a", limited("one more"))
	if got := ids(p.Order(of(ks), "other")); got != "b" || p.Troubled() != keypool.MaxModels+1 {
		t.Errorf("after one too many there is %q, %d entries", got, p.Troubled())
	}
	p.Report("b", limited("m"))
	c.advance(time.Minute)
	p.Report("a", limited("another"))
	if got := p.Limits("a"); len(got) != 1 || got[0].Model != "another" {
		t.Errorf("when they are over there are %v", got)
	}
	// What nobody asks for again is forgotten.
	c.advance(time.Hour)
	p.Report("c", limited("m"))
	if p.Troubled() != 1 {
		t.Errorf("%d entries are left", p.Troubled())
	}
}

// Limits of models are not told to others, and those of keys are.
func TestLimitsOfModelsStayHere(t *testing.T) {
	t.Parallel()
	p := keypool.New(newClock().now, keypool.Config{})
	p.Report("a", limited("m"))
	if got := p.TakeChanges(); len(got) != 0 {
		t.Errorf("others are told %v", got)
	}
	p.Report("a", keypool.Outcome{Reason: keypool.RateLimited})
	if got := p.TakeChanges(); len(got) != 1 || got[0].KeyID != "a" {
		t.Errorf("others are told %v", got)
	}
}
