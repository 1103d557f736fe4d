package keypool_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
)

// At every moment each key has had its share of the turns, within a few: no key
// gets a run of them, whatever the weights.
func TestTurnsByWeightAreFairAndSmooth(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]uint32{{1, 1}, {1, 2, 3}, {5, 1, 1}, {97, 2, 1}, {1000, 1000, 1}, {0, 3, 1}, {7}, {10, 10, 10, 10, 10, 10, 10}} {
		p := keypool.New(time.Now, keypool.Config{})
		provider := &routing.Provider{ID: "p", Strategy: routing.Weighted}
		total := 0.0
		for i, w := range weights {
			provider.Keys = append(provider.Keys, routing.Key{ID: fmt.Sprint(i), Weight: w})
			total += float64(w)
		}
		had := map[string]float64{}
		for n := 1.0; n <= 5000; n++ {
			turn := p.Order(provider, "")
			had[turn.Key(0).ID]++
			for i, w := range weights {
				if off := math.Abs(had[fmt.Sprint(i)] - n*float64(w)/total); off > 3 {
					t.Fatalf("weights %d: after %v turns key %d had %v", weights, n, i, had[fmt.Sprint(i)])
				}
			}
		}
	}
}

func TestTurnsByWeightPassOverWhatIsNotReady(t *testing.T) {
	t.Parallel()
	p := keypool.New(newClock().now, keypool.Config{})
	provider := &routing.Provider{ID: "p", Strategy: routing.Weighted, Keys: keys("a", "b", "c", "d")}
	for i, w := range []uint32{6, 3, 1, 0} {
		provider.Keys[i].Weight = w
	}
	p.Report("a", keypool.Outcome{Reason: keypool.Unauthorized})
	had := map[string]int{}
	for range 400 {
		turn := p.Order(provider, "")
		had[turn.Key(0).ID]++
	}
	if had["a"] != 0 || had["d"] != 0 || had["b"] < 297 || had["b"] > 303 || had["b"]+had["c"] != 400 {
		t.Errorf("turns are %v, want 3 of b for each of c", had)
	}
	// What has no weight is for when nothing else is left.
	p.Report("b", keypool.Outcome{Reason: keypool.Unauthorized})
	p.Report("c", keypool.Outcome{Reason: keypool.Unauthorized})
	if got := ids(p.Order(provider, "")); got != "d" {
		t.Errorf("usable keys are %q, want the one without weight", got)
	}
}

// After the first, whichever it is, the others follow by position.
func TestTheOthersFollowByPosition(t *testing.T) {
	t.Parallel()
	p := keypool.New(time.Now, keypool.Config{})
	for load, want := range map[string]string{"": "abcd", "a": "bacd", "ab": "cabd", "abc": "dabc", "abcd": "abcd"} {
		var flights []keypool.Flight
		for _, id := range load {
			flights = append(flights, p.Begin(string(id)))
		}
		if got := ids(p.Order(&routing.Provider{ID: "p", Strategy: routing.LeastLoaded, Keys: keys("a", "b", "c", "d")}, "")); got != want {
			t.Errorf("with %q in flight the order is %q, want %q", load, got, want)
		}
		for _, f := range flights {
			f.End()
		}
	}
	// In the other strategies load does not count.
	defer p.Begin("a").End()
	if got := ids(p.Order(of(keys("a", "b")), "")); got != "ab" {
		t.Errorf("in order it is %q", got)
	}
}

// One request at a time tries a key that is coming back.
func TestAKeyThatComesBackIsTriedByOne(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reason keypool.Reason
		others string // what the others may try meanwhile
		alone  string // and where there is no other key
	}{
		{keypool.RateLimited, "ba", "a"}, // limited, so it may do in need
		{keypool.Unauthorized, "b", ""},
		{keypool.QuotaExhausted, "b", ""},
	} {
		t.Run(string(tc.reason), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			p := keypool.New(c.now, keypool.Config{})
			ks := keys("a", "b")
			p.Report("a", keypool.Outcome{Reason: tc.reason})
			c.advance(time.Minute)
			one := p.Order(of(ks), "")
			if one.Len() != 2 || one.Key(0).ID != "a" {
				t.Fatalf("the one has %d keys, first %s", one.Len(), one.Key(0).ID)
			}
			if got := ids(p.Order(of(ks), "")); got != tc.others {
				t.Errorf("the others have %q, want %q", got, tc.others)
			}
			alone := p.Order(of(ks[:1]), "")
			if alone.Len() != len(tc.alone) || alone.Len() == 0 && alone.Short.Failed != 1 {
				t.Errorf("where it is the only key: %d keys, %+v", alone.Len(), alone.Short)
			}
			one.End()
			if got := ids(p.Order(of(ks), "")); got != "ab" {
				t.Errorf("after the trial ended without a word the next has %q", got)
			}

			// A trial that takes too long is not waited for.
			slow := p.Order(of(ks), "")
			c.advance(5 * time.Second)
			if got := ids(p.Order(of(ks), "")); got != "ab" {
				t.Errorf("after 5 s the next has %q", got)
			}
			slow.End()

			// A verdict ends it.
			last := p.Order(of(ks), "")
			p.Report("a", keypool.Outcome{})
			for range 2 {
				if got := ids(p.Order(of(ks), "")); got != "ab" {
					t.Errorf("after a success all have %q", got)
				}
			}
			last.End()
		})
	}
}

// A trial that is over by its time must not end the next one.
func TestALateEndEndsNothing(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	p.Report("a", keypool.Outcome{Reason: keypool.Unauthorized})
	c.advance(time.Minute)
	late := p.Order(of(keys("a")), "")
	c.advance(5 * time.Second)
	now := p.Order(of(keys("a")), "")
	late.End()
	if turn := p.Order(of(keys("a")), ""); turn.Len() != 0 {
		t.Error("a second request tries the key while it is one's")
	}
	now.End()
}

func TestTryReservesAFailingKeyAlone(t *testing.T) {
	t.Parallel()
	c := newClock()
	p := keypool.New(c.now, keypool.Config{})
	if p.Try("a", time.Second) != nil {
		t.Error("a key that is well was given for a trial")
	}
	p.Report("a", keypool.Outcome{Reason: keypool.Unauthorized})
	end := p.Try("a", time.Minute)
	if end == nil || p.Try("a", time.Minute) != nil {
		t.Fatal("a failing key is not one's alone")
	}
	c.advance(time.Minute - 1)
	if turn := p.Order(of(keys("a")), ""); turn.Len() != 0 {
		t.Error("it is not left out as long as its time is not up")
	}
	end()
	again := p.Try("a", time.Minute)
	if again == nil {
		t.Fatal("after its end the key is still somebody's")
	}
	// What a trial finds out makes the next wait longer, early as it was.
	p.Report("a", keypool.Outcome{Reason: keypool.Unauthorized, Trial: true})
	if got := p.State(routing.Key{ID: "a"}).Until.Sub(c.now()); got != 2*time.Minute {
		t.Errorf("after a trial that failed the wait is %v", got)
	}
}
