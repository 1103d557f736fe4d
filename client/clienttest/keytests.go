package clienttest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/client"
)

// refused reports whether the provider refuses a key: one that has the word in it.
func refused(key string) bool { return strings.Contains(key, "refused") }

func keyTest(key string) client.KeyTest {
	if refused(key) {
		return client.KeyTest{Class: "key_refused", Status: http.StatusUnauthorized, LatencyMS: 12, Message: "The provider refuses the key."}
	}
	return client.KeyTest{OK: true, Class: "ok", Status: http.StatusOK, LatencyMS: 12, Message: "The provider accepts the key."}
}

func (s *Server) testProvider(c *call) {
	p := s.provider(c)
	if p == nil {
		return
	}
	out := client.ProviderTest{OK: true, Keys: []client.KeyTest{}}
	for _, k := range p.APIKeys {
		t := keyTest(s.secrets[k.ID])
		t.KeyID, t.Label, t.Hint = k.ID, k.Label, k.Hint
		out.OK = out.OK && (t.OK || k.Disabled)
		out.Keys = append(out.Keys, t)
	}
	c.answer(http.StatusOK, out)
}

func (s *Server) rotateKey(c *call) {
	p, i := s.key(c)
	if p == nil {
		return
	}
	var req client.RotateKey
	if !c.decode(&req) || !s.fresh(c, p) {
		return
	}
	t := keyTest(req.APIKey)
	if !t.OK && !req.SkipTest {
		c.invalid("body.api_key", "did not pass the test (key_refused), and nothing was changed. "+t.Message)
		return
	}
	old := p.APIKeys[i]
	if !s.addKey(c, p, "body.api_key", client.AddKey{
		APIKey: req.APIKey, Label: old.Label, Position: &old.Position, Weight: &old.Weight, Disabled: old.Disabled,
	}) {
		return
	}
	out := client.KeyRotation{Replaced: old.ID, Drained: req.DrainSeconds == nil || *req.DrainSeconds > 0}
	for _, k := range p.APIKeys {
		if s.secrets[k.ID] == req.APIKey {
			out.Key = k
		}
	}
	if !req.SkipTest {
		out.Test = &t
	}
	p.APIKeys = slices.DeleteFunc(slices.Clone(p.APIKeys), func(k client.ProviderKey) bool { return k.ID == old.ID })
	p.Revision++
	c.answer(http.StatusOK, out)
}
