package authn

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestAttemptsAreABurstAndThenOneByOne(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := newAttempts(pace{burst: 3, every: 10 * time.Second}, func() time.Time { return now })
	take := func(key string, want time.Duration) {
		t.Helper()
		err := a.take(key)
		tooMany, _ := errors.AsType[*TooManyError](err)
		if (tooMany == nil) != (want == 0) || tooMany != nil && tooMany.Wait != want {
			t.Errorf("%s: %v, want to wait %v", key, err, want)
		}
	}
	for range 3 {
		take("ann", 0)
	}
	take("ann", 10*time.Second)
	take("bob", 0) // is another
	now = now.Add(4 * time.Second)
	take("ann", 6*time.Second) // what is refused is not counted
	now = now.Add(6 * time.Second)
	take("ann", 0)
	take("ann", 10*time.Second)
	a.back("ann")
	take("ann", 0)
	now = now.Add(time.Hour)
	for range 3 { // no more than a burst, however long it was
		take("ann", 0)
	}
	take("ann", 10*time.Second)
}

func TestAttemptsTakeSoMuchMemoryAndNoMore(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := newAttempts(pace{burst: 2, every: time.Minute}, func() time.Time { return now })
	for i := range maxTracked {
		if err := a.take(fmt.Sprint("n", i)); err != nil {
			t.Fatal(err)
		}
	}
	// One that is known goes on to be told apart; those that are not are one.
	if a.take("n1") != nil || a.take("n1") == nil || a.take("x") != nil || a.take("y") != nil || a.take("z") == nil {
		t.Error("beyond what is tracked, others are not one, or not bounded")
	}
	if len(a.full) > maxTracked+1 {
		t.Errorf("%d are tracked", len(a.full))
	}
	now = now.Add(2 * time.Minute) // all is given back but to others
	for _, key := range []string{"z", "z", "n1", "n1"} {
		if err := a.take(key); err != nil {
			t.Errorf("later, %s: %v", key, err)
		}
	}
	if len(a.full) > 3 {
		t.Errorf("%d are tracked of what is over", len(a.full))
	}
}

func TestAnAddressIsCountedByWhoHasIt(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::": "2001:db8:1:2::/64", "2001:db8:1:3::": "2001:db8:1:3::/64", "": "", "@": "@",
	} {
		if got := network(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
