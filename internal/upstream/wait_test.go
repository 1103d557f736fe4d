package upstream_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/upstream/anthropic"
	"github.com/gatehousehq/gatehouse/internal/upstream/openai"
)

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tc := range []struct {
		name string
		h    map[string]string
		want time.Duration
	}{
		{"nothing", nil, 0},
		{"seconds", map[string]string{"Retry-After": "7"}, 7 * time.Second},
		{"a fraction", map[string]string{"Retry-After": "0.25"}, 250 * time.Millisecond},
		{"milliseconds win", map[string]string{"Retry-After": "1", "Retry-After-Ms": "494"}, 494 * time.Millisecond},
		{"a date", map[string]string{"Retry-After": at(90 * time.Second)}, 90 * time.Second},
		{"a date counts from the response's Date", map[string]string{"Retry-After": at(time.Hour), "Date": at(time.Hour - 5*time.Second)}, 5 * time.Second},
		{"a date in the past", map[string]string{"Retry-After": at(-time.Hour)}, 0},
		{"a negative number", map[string]string{"Retry-After": "-3"}, 0},
		{"words", map[string]string{"Retry-After": "soon"}, 0},
		{"not a number", map[string]string{"Retry-After": "NaN"}, 0},
	} {
		h := http.Header{}
		for k, v := range tc.h {
			h.Set(k, v)
		}
		if got := upstream.RetryAfter(h, now); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	for _, v := range []string{"1e300", "Inf", "99999999999999999999"} {
		if got := upstream.RetryAfter(http.Header{"Retry-After": {v}}, now); got < time.Hour {
			t.Errorf("%s: got %v, want something long", v, got)
		}
	}
}

// headers reads lines of "Name: value".
func headers(lines string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(lines) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			h.Set(name, strings.TrimSpace(value))
		}
	}
	return h
}

func TestWaitIsWhatTheVendorAsksFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o, a := openai.Dialect(), anthropic.Dialect()
	for _, tc := range []struct {
		name    string
		d       *upstream.Dialect
		headers string
		body    string
		want    time.Duration
	}{
		{"nothing is said", o, "", "", 0},
		{"Retry-After goes before all else", o, "Retry-After: 2\nx-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 6m0s", "", 2 * time.Second},
		{"OpenAI: no request is left", o, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 20ms\nx-ratelimit-remaining-tokens: 149984\nx-ratelimit-reset-tokens: 6m0s", "", 20 * time.Millisecond},
		{"OpenAI: no token is left", o, "x-ratelimit-remaining-requests: 59\nx-ratelimit-reset-requests: 1s\nx-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 6m0s", "", 6 * time.Minute},
		{"OpenAI: neither is left", o, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 1s\nx-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 7.66s", "", 7660 * time.Millisecond},
		{"OpenAI: the error says that it was tokens, of which some are left", o, "x-ratelimit-remaining-requests: 59\nx-ratelimit-reset-requests: 1s\nx-ratelimit-remaining-tokens: 40\nx-ratelimit-reset-tokens: 13.94s",
			`{"error":{"message":"Rate limit reached for gpt-x","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`, 13940 * time.Millisecond},
		{"OpenAI: the tokens of the project", o, "x-ratelimit-remaining-project-tokens: 0\nx-ratelimit-reset-project-tokens: 3s\nx-ratelimit-remaining-requests: 5\nx-ratelimit-reset-requests: 1h", "", 3 * time.Second},
		{"OpenAI: which is not said, so the soonest", o, "x-ratelimit-remaining-requests: 3\nx-ratelimit-reset-requests: 4s\nx-ratelimit-remaining-tokens: 9\nx-ratelimit-reset-tokens: 1m", "", 4 * time.Second},
		{"OpenAI: a plain number could mean anything", o, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 1772366400", "", 0},
		{"OpenAI: a negative duration", o, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: -5s", "", 0},
		{"Anthropic: no request is left", a, "anthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: 2026-03-01T12:00:09Z\nanthropic-ratelimit-tokens-remaining: 1000\nanthropic-ratelimit-tokens-reset: 2026-03-01T13:00:00Z", "", 9 * time.Second},
		{"Anthropic: no output token is left", a, "anthropic-ratelimit-requests-remaining: 7\nanthropic-ratelimit-requests-reset: 2026-03-01T12:00:01Z\nanthropic-ratelimit-output-tokens-remaining: 0\nanthropic-ratelimit-output-tokens-reset: 2026-03-01T12:00:30Z", "", 30 * time.Second},
		{"Anthropic: an offset, counted from the response's Date", a, "Date: Sun, 01 Mar 2026 11:00:00 GMT\nanthropic-ratelimit-input-tokens-remaining: 0\nanthropic-ratelimit-input-tokens-reset: 2026-03-01T06:00:05-05:00", "", 5 * time.Second},
		{"Anthropic: a reset that is past", a, "anthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: 2026-03-01T11:59:00Z", "", 0},
		{"Anthropic: what is no time", a, "anthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: soon", "", 0},
	} {
		if got := tc.d.Wait(headers(tc.headers), []byte(tc.body), now); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Whatever an upstream sends, a wait is not negative.
func FuzzWait(f *testing.F) {
	f.Add("1", "Sun, 01 Mar 2026 12:00:00 GMT", "0", "6m0s", `{"error":{"type":"tokens"}}`)
	f.Add("", "", "0", "2026-03-01T12:00:09Z", "")
	f.Add("-1e308", "x", "NaN", "-1h", "{")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, retryAfter, date, remaining, reset, body string) {
		for _, d := range []*upstream.Dialect{openai.Dialect(), anthropic.Dialect()} {
			h := http.Header{"Retry-After": {retryAfter}, "Date": {date}}
			for _, l := range d.Limits {
				h.Set(l.Remaining, remaining)
				h.Set(l.Reset, reset)
				if http.CanonicalHeaderKey(l.Reset) != l.Reset || http.CanonicalHeaderKey(l.Remaining) != l.Remaining {
					t.Errorf("%s: a header is not in canonical form", d.Name)
				}
			}
			if got := d.Wait(h, []byte(body), now); got < 0 {
				t.Errorf("%s: a wait of %v", d.Name, got)
			}
		}
	})
}
