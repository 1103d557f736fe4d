package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

const canary = "sk-canary-1234567890-abcdef"

func TestTextNeverShowsItself(t *testing.T) {
	t.Parallel()
	open := secret.New(canary)
	sealed := secret.FromSealed([]byte(canary))
	type record struct {
		Name string
		Key  secret.Text
		Ptr  *secret.Text
		List []secret.Text
	}
	for name, s := range map[string]secret.Text{"open": open, "sealed": sealed} {
		rec := record{"n", s, &s, []secret.Text{s}}
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08.3f", "%p"} {
			fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", s, rec, &rec)
		}
		fmt.Fprintln(&out, errors.Join(fmt.Errorf("wrapped %v", s)))
		j, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(j)
		x, err := xml.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(x)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "key", s, "rec", rec, slog.Group("g", "key", &s))
		}
		got := out.String()
		if i := strings.Index(got, canary[5:15]); i >= 0 {
			t.Errorf("%s: the secret shows: …%s…", name, got[max(0, i-40):i+20])
		}
		if hex := fmt.Sprintf("%x", canary[5:15]); strings.Contains(strings.ToLower(got), hex) {
			t.Errorf("%s: the secret shows in hex", name)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	var zero secret.Text
	open, sealed := secret.New("s"), secret.FromSealed([]byte("c"))
	if !zero.IsZero() || zero.IsSealed() || zero.Sealed() != nil || zero.Reveal() != "" {
		t.Error("the zero Text is not open and empty")
	}
	if open.IsSealed() || open.Sealed() != nil || open.Reveal() != "s" || open.IsZero() {
		t.Error("New does not give an open Text")
	}
	if !sealed.IsSealed() || sealed.Reveal() != "" || !bytes.Equal(sealed.Sealed(), []byte("c")) {
		t.Error("FromSealed does not give a sealed Text")
	}
	b := sealed.Sealed()
	b[0] = 'x'
	if !bytes.Equal(sealed.Sealed(), []byte("c")) {
		t.Error("a caller changed the sealed form")
	}
}

func TestHint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                         "",
		"0123456789012345678":      "", // 19 characters
		"01234567890123456789":     "012…6789",
		"sk-proj-abcdefghijklmnop": "sk-…mnop",
		"ééééééééééééééééééé":      "", // 19 characters, 38 bytes
		"éaéééééééééééééééééééxyzé": "éaé…xyzé",
	} {
		if got := secret.New(in).Hint(); got != want {
			t.Errorf("Hint of %d characters = %q, want %q", len([]rune(in)), got, want)
		}
	}
}

func TestUnmarshalJSON(t *testing.T) {
	t.Parallel()
	var s secret.Text
	if err := json.Unmarshal([]byte(`"a\u0062c"`), &s); err != nil || s.Reveal() != "abc" {
		t.Fatalf("got %q, %v", s.Reveal(), err)
	}
	err := json.Unmarshal([]byte(`{"k":"`+canary+`"}`), &s)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Fatalf("error for an object: %v", err)
	}
}
