package client_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	c, err := client.New("http://127.0.0.1:1", canary)
	if err != nil {
		t.Fatal(err)
	}
	settings := json.RawMessage(`{"access_key_secret":"` + canary + `"}`)
	values := map[string]any{
		"client":         c,
		"CreateProvider": client.CreateProvider{Name: "visible", Settings: settings, APIKeys: []string{canary}},
		"UpdateProvider": client.UpdateProvider{DisplayName: client.Set("visible"), Settings: client.Set(settings), APIKeys: []client.KeepOrAdd{{APIKey: canary}}},
		"KeepOrAdd":      client.KeepOrAdd{ID: "visible", APIKey: canary},
		"AddKey":         &client.AddKey{Label: "visible", APIKey: canary},
		"CreatedToken":   client.CreatedToken{Token: client.Token{Name: "visible"}, Secret: canary},
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08.3f"} {
				fmt.Fprintf(&out, verb+" "+verb+"\n", v, []any{v, map[string]any{"k": v}})
			}
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
			hidden := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))[1:40]}
			for _, h := range hidden {
				if strings.Contains(out.String(), h) {
					t.Errorf("the secret is shown")
				}
			}
			if name != "client" && !strings.Contains(out.String(), "visible") {
				t.Errorf("what is no secret is not shown either:\n%s", out.String())
			}
		})
	}
}

// The wire still carries what the program was given.
func TestSecretsAreSent(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	p := addProvider(t, c, "openai", "one", "two")
	keys := []client.KeepOrAdd{{ID: p.APIKeys[1].ID}, {APIKey: canary}}
	if _, err := c.UpdateProvider(t.Context(), "openai", p.Revision, client.UpdateProvider{APIKeys: keys}); err != nil {
		t.Fatal(err)
	}
	if got := s.KeysOf("openai"); len(got) != 2 || got[0] != "two" || got[1] != canary {
		t.Errorf("the provider does not have the keys that were declared")
	}
}
