package auditlog_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const known = `{"v":1,"index":1,"time":"2030-01-01T12:00:00.124456Z","actor":{"kind":"user","id":"0195c0de-0000-7000-8000-0000000000aa","name":"ada",` +
	`"token_id":"0195c0de-0000-7000-8000-0000000000bb","token_name":"laptop"},"action":"update","resource_type":"ai_provider",` +
	`"resource_id":"0195c0de-0000-7000-8000-000000000001","target":"openai","request_id":"req-1","address":"192.0.2.1","user_agent":"gatehouse/1.0",` +
	`"count":1,"diff":{"display_name":{"old":"<OpenAI>","new":"OpenAI & co"}}}`

func TestLeafIsTheDocumentedForm(t *testing.T) {
	t.Parallel()
	got, err := auditlog.Leaf(someEntry(1))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), known); diff != "" {
		t.Error(diff)
	}
}

func TestTimesAreInMicrosecondsOfUTC(t *testing.T) {
	t.Parallel()
	e := someEntry(1)
	e.At = time.Date(2030, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600))
	got, err := auditlog.Leaf(e)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"time":"2030-01-01T00:00:00.000000Z"`; !strings.Contains(string(got), want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}

func TestWhatIsNoLeafIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*store.AuditEntry){
		"no diff":                       func(e *store.AuditEntry) { e.Diff = "" },
		"a diff that is no object":      func(e *store.AuditEntry) { e.Diff = "[]" },
		"a diff that is cut":            func(e *store.AuditEntry) { e.Diff = `{"a":1` },
		"a diff with spaces":            func(e *store.AuditEntry) { e.Diff = `{"a": 1}` },
		"a diff with a line break":      func(e *store.AuditEntry) { e.Diff = "{}\n" },
		"two diffs":                     func(e *store.AuditEntry) { e.Diff = "{}{}" },
		"a diff that is not UTF-8":      func(e *store.AuditEntry) { e.Diff = "{\"a\":\"\xff\"}" },
		"a name that is not UTF-8":      func(e *store.AuditEntry) { e.ActorName = "\xff" },
		"an action that is not UTF-8":   func(e *store.AuditEntry) { e.Action = "\xff" },
		"a program that is not UTF-8":   func(e *store.AuditEntry) { e.Origin.UserAgent = "\xc3" },
		"a target that is cut in UTF-8": func(e *store.AuditEntry) { e.Target = "é"[:1] },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := someEntry(1)
			spoil(&e)
			if leaf, err := auditlog.Leaf(e); err == nil {
				t.Errorf("got %q, want an error", leaf)
			}
		})
	}
}

// anyEntry draws entries with hard text in them: quotes, control characters,
// what HTML escapes, and what looks like the end of a member.
func anyEntry() *rapid.Generator[store.AuditEntry] {
	text := rapid.OneOf(
		rapid.StringOf(rapid.RuneFrom([]rune{'a', '"', '\\', ',', '{', '}', '<', 0, '\n', 0x1f, 0x7f, 0x2028, 0xfffd, 0x1f600})),
		rapid.SampledFrom([]string{"", `","id":"`, `\u0000`, "x"}),
	)
	return rapid.Custom(func(t *rapid.T) store.AuditEntry {
		diff, err := json.Marshal(rapid.MapOfN(text, text, 0, 3).Draw(t, "diff"))
		if err != nil {
			t.Fatal(err)
		}
		return store.AuditEntry{
			Index: rapid.Int64Min(1).Draw(t, "index"), At: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time")).UTC(),
			ActorKind: store.ActorKind(text.Draw(t, "kind")), ActorID: text.Draw(t, "id"), ActorName: text.Draw(t, "name"),
			TokenID: text.Draw(t, "token"), TokenName: text.Draw(t, "token name"), Action: rbac.Action(text.Draw(t, "action")),
			Resource: rbac.Resource(text.Draw(t, "resource")), ID: text.Draw(t, "resource id"), Target: text.Draw(t, "target"),
			Origin: store.Origin{RequestID: text.Draw(t, "request"), Address: text.Draw(t, "address"), UserAgent: text.Draw(t, "agent")},
			Count:  rapid.Int64Min(1).Draw(t, "count"), Diff: string(diff),
		}
	})
}

// TestLeavesTellEntriesApart holds that a leaf is one line of JSON from which
// the entry can be had back, so no two entries have the same.
func TestLeavesTellEntriesApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := anyEntry().Draw(t, "entry")
		leaf, err := auditlog.Leaf(want)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(leaf) || strings.ContainsAny(string(leaf), "\n\r") || !utf8.Valid(leaf) {
			t.Errorf("%q is not one line of JSON", leaf)
		}
		got, err := auditlog.ParseLeaf(leaf)
		if err != nil {
			t.Fatalf("%s: %v", leaf, err)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALaterVersionIsSaid(t *testing.T) {
	t.Parallel()
	_, err := auditlog.ParseLeaf([]byte(strings.Replace(known, `"v":1`, `"v":2`, 1)))
	if want := "version 2"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s in it", err, want)
	}
}

func TestParseLeafIsStrict(t *testing.T) {
	t.Parallel()
	if _, err := auditlog.ParseLeaf([]byte(known)); err != nil {
		t.Fatal(err)
	}
	tests := map[string][2]string{
		"another version":          {`"v":1`, `"v":2`},
		"another order":            {`"v":1,"index":1`, `"index":1,"v":1`},
		"an unknown member":        {`"count":1`, `"count":1,"more":1`},
		"a member twice":           {`"count":1`, `"count":1,"count":1`},
		"a member less":            {`"count":1,`, ``},
		"a name in capitals":       {`"target"`, `"Target"`},
		"a space":                  {`"v":1,`, `"v":1, `},
		"an escape without need":   {`"ada"`, `"\u0061da"`},
		"another form of time":     {`.124456Z`, `.1244560Z`},
		"another zone":             {`.124456Z`, `.124456+00:00`},
		"a number with a point":    {`"count":1`, `"count":1.0`},
		"something at the end":     {`co"}}}`, `co"}}} `},
		"the end cut off":          {`co"}}}`, `co"}}`},
		"a diff that is nothing":   {`{"display_name":{"old":"<OpenAI>","new":"OpenAI & co"}}`, `null`},
		"a diff that is not UTF-8": {`<OpenAI>`, "\xff"},
		"a text that is not UTF-8": {`"ada"`, "\"\xff\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaf := strings.Replace(known, tt[0], tt[1], 1)
			if leaf == known {
				t.Fatal("nothing was changed")
			}
			if e, err := auditlog.ParseLeaf([]byte(leaf)); err == nil {
				t.Errorf("%s: got %+v, want an error", leaf, e)
			}
		})
	}
}

func FuzzParseLeaf(f *testing.F) {
	f.Add([]byte(known))
	f.Add([]byte(`{"v":1}`))
	f.Add(fmt.Appendf(nil, `{"v":1,"index":%d}`, uint64(1<<63)))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		e, err := auditlog.ParseLeaf(leaf)
		if err != nil {
			return
		}
		again, err := auditlog.Leaf(e)
		if err != nil || string(again) != string(leaf) {
			t.Errorf("%q was taken, and is written as %q (%v)", leaf, again, err)
		}
	})
}

func BenchmarkLeaf(b *testing.B) {
	e := someEntry(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auditlog.Leaf(e); err != nil {
			b.Fatal(err)
		}
	}
}
