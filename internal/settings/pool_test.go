package settings_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/settings"
)

func TestPoolOfEveryTypeOfDocument(t *testing.T) {
	t.Parallel()
	types := map[string]string{
		`"_type":"openai","_version":1`:                          "openai",
		`"_type":"anthropic","_version":1`:                       "anthropic",
		`"_type":"bedrock","_version":1,"region":"eu-central-1"`: "anthropic",
	}
	for _, c := range []struct {
		name, members, canonical string
		movesOn                  []string
		replays, probes          bool
		rest                     string
	}{
		{"nothing is said", ``, ``, settings.Causes(), true, true, "breaks, 0 at once"},
		{"null is as good as nothing", `,"failover_on":null,"replay_after_send":null,"probe":null`, ``, settings.Causes(), true, true, "breaks, 0 at once"},
		{"nothing moves on", `,"failover_on":[]`, `,"failover_on":[]`, nil, true, true, "breaks, 0 at once"},
		{"some do, in the order of the list", `,"failover_on":["timeout","rate_limited"]`, `,"failover_on":["rate_limited","timeout"]`, []string{"rate_limited", "timeout"}, true, true, "breaks, 0 at once"},
		{"no replay", `,"replay_after_send":false`, `,"replay_after_send":false`, settings.Causes(), false, true, "breaks, 0 at once"},
		{"the defaults, said", `,"replay_after_send":true,"probe":true`, `,"replay_after_send":true,"probe":true`, settings.Causes(), true, true, "breaks, 0 at once"},
		{"no probe", `,"probe":false`, `,"probe":false`, settings.Causes(), true, false, "breaks, 0 at once"},
		{"no breaker", `,"breaker":false`, `,"breaker":false`, settings.Causes(), true, true, "does not break, 0 at once"},
		{"so many at once", `,"max_concurrency":20,"breaker":true`, `,"breaker":true,"max_concurrency":20`, settings.Causes(), true, true, "breaks, 20 at once"},
		{"any number at once", `,"max_concurrency":0`, ``, settings.Causes(), true, true, "breaks, 0 at once"},
	} {
		for head, provider := range types {
			doc, err := settings.Parse(provider, []byte("{"+head+c.members+"}"), "")
			if err != nil {
				t.Errorf("%s: %s: %v", c.name, head, err)
				continue
			}
			if want := "{" + head + c.canonical + "}"; doc.Public != want || doc.Full.Reveal() != want {
				t.Errorf("%s: %s is shown as %s, want %s", c.name, head, doc.Public, want)
			}
			p := settings.PoolOf(doc.Fields)
			var moves []string
			for _, cause := range settings.Causes() {
				if p.MovesOn(cause) {
					moves = append(moves, cause)
				}
			}
			rest := fmt.Sprintf("breaks, %d at once", p.MaxConcurrency)
			if !p.Breaks() {
				rest = "does not " + strings.Replace(rest, "breaks", "break", 1)
			}
			if rest != c.rest {
				t.Errorf("%s: %s %s, want %s", c.name, head, rest, c.rest)
			}
			if diff := cmp.Diff(moves, c.movesOn); diff != "" || p.Replays() != c.replays || p.Probes() != c.probes {
				t.Errorf("%s: %s: replays %t, probes %t, moves on at (-got +want):\n%s", c.name, head, p.Replays(), p.Probes(), diff)
			}
		}
	}
	if p := settings.PoolOf(nil); !p.MovesOn("timeout") || !p.Replays() || !p.Probes() {
		t.Error("a provider without settings does not have the defaults")
	}
}

func TestPoolFieldsThatAreRefused(t *testing.T) {
	t.Parallel()
	for members, field := range map[string]string{
		`"failover_on":["` + canary + `"]`:           "failover_on",
		`"failover_on":["timeout","timeout"]`:        "failover_on",
		`"failover_on":"timeout"`:                    "failover_on",
		`"failover_on":["timeout","` + canary + `"]`: "failover_on",
		`"replay_after_send":"` + canary + `"`:       "replay_after_send",
		`"max_concurrency":-1`:                       "max_concurrency",
		`"max_concurrency":1000001`:                  "max_concurrency",
		`"max_concurrency":"` + canary + `"`:         "max_concurrency",
		`"max_concurrency":1.5`:                      "max_concurrency",
		`"probe":0`:                                  "probe",
	} {
		_, err := settings.Parse("openai", []byte(`{"_type":"openai","_version":1,`+members+`}`), "")
		var f *settings.FieldError
		if !errors.As(err, &f) || f.Field != field || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: got %v, want an error of field %q without the value", members, err, field)
		}
	}
}
