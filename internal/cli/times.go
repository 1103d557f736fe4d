package cli

import (
	"math"
	"strconv"
	"time"
)

const day = 24 * time.Hour

// when returns a time relative to now, or as a local date if that is far.
func (a *app) when(t *time.Time) string {
	if t == nil {
		return ""
	}
	d := t.Sub(a.now())
	past := d < 0
	if past {
		d = -d
	}
	var text string
	switch {
	case d < time.Minute:
		if past {
			return "just now"
		}
		return "in less than a minute"
	case d < time.Hour:
		text = count(d, time.Minute, "minute")
	case d < 2*day:
		text = count(d, time.Hour, "hour")
	case d < 60*day:
		text = count(d, day, "day")
	default:
		return t.Local().Format(time.DateOnly)
	}
	if past {
		return text + " ago"
	}
	return "in " + text
}

// count returns how many units d is, to the nearest.
func count(d, unit time.Duration, name string) string {
	return plural(int((d+unit/2)/unit), name, name+"s")
}

// parseExpiry returns the time that --expires means: RFC 3339, or a span from
// now such as 30d, 2w or 12h. It returns nil for "".
func parseExpiry(s string, now time.Time) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		d, ok := parseSpan(s)
		if !ok {
			return nil, usagef("--expires must be a span such as 30d, 2w or 12h, or a time such as 2030-01-31T12:00:00Z")
		}
		t = now.Add(d)
	}
	if !t.After(now) {
		return nil, usagef("--expires must be in the future")
	}
	return new(t.UTC().Truncate(time.Second)), nil
}

func parseSpan(s string) (time.Duration, bool) {
	unit := map[byte]time.Duration{'d': day, 'w': 7 * day}[s[len(s)-1]]
	if unit == 0 {
		d, err := time.ParseDuration(s)
		return d, err == nil
	}
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
