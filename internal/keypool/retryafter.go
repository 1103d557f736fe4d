package keypool

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter returns how long a response asks to wait, or zero if it does not
// say or says nothing sensible. It reads Retry-After in both its forms, and
// retry-after-ms, which is finer and wins. A date counts from the response's
// own Date where there is one, so that clocks need not agree; now is used
// otherwise.
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
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, until.Sub(now))
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
