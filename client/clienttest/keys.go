package clienttest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// addKey adds a key to p, or answers and returns false.
func (s *Server) addKey(c *call, p *client.Provider, location string, req client.AddKey) bool {
	switch {
	case req.APIKey == "", len(req.APIKey) > 4096:
		c.invalid(location, "must have 1 to 4096 bytes")
		return false
	case strings.TrimSpace(req.APIKey) != req.APIKey:
		c.invalid(location, "must not have space around it")
		return false
	case req.Position != nil && *req.Position < 1:
		c.invalid("body.position", "must be at least 1")
		return false
	}
	last := int64(0)
	for _, k := range p.APIKeys {
		if s.secrets[k.ID] == req.APIKey {
			c.invalid(location, "is a key that the provider has already")
			return false
		}
		last = max(last, k.Position)
	}
	k := client.ProviderKey{
		ID: s.newID(), Position: last + 1, Weight: 1, Label: req.Label, Hint: hint(req.APIKey), Disabled: req.Disabled,
		ExpiresAt: req.ExpiresAt, CreatedAt: now(), State: client.KeyReady,
	}
	if req.Position != nil {
		k.Position = *req.Position
	}
	if req.Weight != nil {
		k.Weight = *req.Weight
	}
	setState(&k)
	s.secrets[k.ID] = req.APIKey
	p.APIKeys = append(p.APIKeys, k)
	sortKeys(p)
	return true
}

// declareKeys gives p exactly the keys that want lists, or answers and returns
// false.
func (s *Server) declareKeys(c *call, p *client.Provider, want []client.KeepOrAdd) bool {
	had := p.APIKeys
	p.APIKeys = []client.ProviderKey{}
	for i, w := range want {
		location := "body.api_keys[" + strconv.Itoa(i) + "]"
		if w.ID == "" {
			if !s.addKey(c, p, location, client.AddKey{APIKey: w.APIKey}) {
				return false
			}
			continue
		}
		j := slices.IndexFunc(had, func(k client.ProviderKey) bool { return k.ID == w.ID })
		if j < 0 {
			c.invalid(location, "is not a key of this provider")
			return false
		}
		p.APIKeys = append(p.APIKeys, had[j])
	}
	return true
}

// key returns the provider and the place of the key that the path names, or
// answers 404 and returns nil.
func (s *Server) key(c *call) (*client.Provider, int) {
	p := s.provider(c)
	if p == nil {
		return nil, 0
	}
	i := slices.IndexFunc(p.APIKeys, func(k client.ProviderKey) bool { return k.ID == c.r.PathValue("id") })
	if i < 0 {
		c.problem(http.StatusNotFound, "the provider has no such key")
		return nil, 0
	}
	return p, i
}

func (s *Server) listKeys(c *call) {
	if p := s.provider(c); p != nil {
		list(c, p.APIKeys)
	}
}

func (s *Server) getKey(c *call) {
	if p, i := s.key(c); p != nil {
		c.answer(http.StatusOK, p.APIKeys[i])
	}
}

func (s *Server) createKey(c *call) {
	p := s.provider(c)
	if p == nil {
		return
	}
	var req client.AddKey
	if !c.decode(&req) || !s.addKey(c, p, "body.api_key", req) {
		return
	}
	i := slices.IndexFunc(p.APIKeys, func(k client.ProviderKey) bool { return s.secrets[k.ID] == req.APIKey })
	k := p.APIKeys[i]
	p.Revision++
	s.record(c, "create", "ai_provider_key", k.ID, p.ID, map[string]any{"api_key": map[string]bool{"secret": true}})
	c.w.Header().Set("Location", c.r.URL.Path+"/"+k.ID)
	c.answer(http.StatusCreated, k)
}

func (s *Server) updateKey(c *call) {
	p, i := s.key(c)
	if p == nil {
		return
	}
	var req struct {
		Label     *string          `json:"label"`
		Position  *int64           `json:"position"`
		Weight    *int64           `json:"weight"`
		Disabled  *bool            `json:"disabled"`
		ExpiresAt given[time.Time] `json:"expires_at"`
	}
	if !c.decode(&req) || !s.fresh(c, p) {
		return
	}
	k := &p.APIKeys[i]
	if req.Label != nil {
		k.Label = *req.Label
	}
	if req.Position != nil {
		k.Position = *req.Position
	}
	if req.Weight != nil {
		k.Weight = *req.Weight
	}
	if req.Disabled != nil {
		k.Disabled = *req.Disabled
	}
	if req.ExpiresAt.sent {
		k.ExpiresAt = req.ExpiresAt.value
	}
	setState(k)
	answer := *k
	sortKeys(p)
	p.Revision++
	s.record(c, "update", "ai_provider_key", answer.ID, p.ID, map[string]any{})
	c.answer(http.StatusOK, answer)
}

func (s *Server) deleteKey(c *call) {
	p, i := s.key(c)
	if p == nil || !s.fresh(c, p) {
		return
	}
	id := p.APIKeys[i].ID
	p.APIKeys = slices.Delete(slices.Clone(p.APIKeys), i, i+1)
	p.Revision++
	s.record(c, "delete", "ai_provider_key", id, p.ID, map[string]any{})
	c.w.WriteHeader(http.StatusNoContent)
}

func setState(k *client.ProviderKey) {
	switch {
	case k.Disabled:
		k.State = client.KeyDisabled
	case expired(k.ExpiresAt):
		k.State = client.KeyExpired
	default:
		k.State = client.KeyReady
	}
}

func sortKeys(p *client.Provider) {
	slices.SortStableFunc(p.APIKeys, func(a, b client.ProviderKey) int { return int(a.Position - b.Position) })
}

func hint(secret string) string {
	if len(secret) < 20 {
		return ""
	}
	return secret[:3] + "…" + secret[len(secret)-4:]
}
