package upstream

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Limit is one of the allowances of a key, as headers of a vendor tell of it.
type Limit struct {
	// Type is the type of the errors that are for this limit alone; "" if the
	// vendor's errors do not say which it was.
	Type string
	// Remaining and Reset are the headers, in canonical form, with what is left
	// of it and with when it is whole again.
	Remaining, Reset string
}

// Wait returns how long a rate limit with this response asks to wait, or zero if
// it does not say. What it says outright counts; otherwise it is until the limit
// that was hit is whole again. Where a response does not tell which that was it
// is the one that is whole first, so that no key is left out for longer than
// asked: one limit of several (tokens, or one model's) is soon met again. For
// vendors whose bodies tell, those count in place of limits.
func (d *Dialect) Wait(h http.Header, body []byte, now time.Time) time.Duration {
	if w := RetryAfter(h, now); w > 0 {
		return w
	}
	if d.WaitIn != nil {
		return d.WaitIn(body)
	}
	hit := ParseDetail(body).Type
	now = dateOf(h, now)
	var spent, soonest time.Duration
	for _, l := range d.Limits {
		reset := d.ParseReset(h.Get(l.Reset), now)
		if reset <= 0 {
			continue
		}
		if l.Type != "" && l.Type == hit {
			return reset
		}
		if soonest == 0 || reset < soonest {
			soonest = reset
		}
		left, err := strconv.ParseFloat(h.Get(l.Remaining), 64)
		if err == nil && left <= 0 {
			spent = max(spent, reset)
		}
	}
	if spent > 0 {
		return spent
	}
	return soonest
}

// RetryAfter returns how long a response asks to wait, or zero if it does not
// say or says nothing sensible. It reads Retry-After in both its forms, and
// retry-after-ms, which is finer and wins. A date counts from the response's
// own Date where there is one, and from now otherwise.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if d := number(h.Get("Retry-After-Ms"), time.Millisecond); d > 0 {
		return d
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if d := number(v, time.Second); d > 0 {
		return d
	}
	until, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return max(0, until.Sub(dateOf(h, now)))
}

// dateOf returns when a response was sent by the clock of its sender, so that
// clocks need not agree; now, if it does not say.
func dateOf(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

// number reads a count of units; some upstreams send fractions.
func number(v string, unit time.Duration) time.Duration {
	f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	switch {
	case err != nil || math.IsNaN(f) || f <= 0:
		return 0
	case f >= float64(math.MaxInt64/int64(unit)):
		return math.MaxInt64
	}
	return time.Duration(f * float64(unit))
}
