package clienttest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

var nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// find returns the provider with that name or id, nil if there is none. It finds
// deleted ones only if it is asked to, and by their id.
func (s *Server) find(nameOrID string, deleted bool) *client.Provider {
	i := slices.IndexFunc(s.providers, func(p *client.Provider) bool {
		return p.ID == nameOrID && (deleted || !p.Deleted) || p.Name == nameOrID && !p.Deleted
	})
	if i < 0 {
		return nil
	}
	return s.providers[i]
}

// provider returns the provider that the path names, or answers 404.
func (s *Server) provider(c *call) *client.Provider {
	return s.providerOrNone(c, false)
}

func (s *Server) providerOrNone(c *call, deleted bool) *client.Provider {
	p := s.find(c.r.PathValue("provider"), deleted)
	if p == nil {
		c.problem(http.StatusNotFound, "there is no such provider")
	}
	return p
}

func includesDeleted(c *call) bool { return c.r.URL.Query().Get("include_deleted") == "true" }

func (s *Server) listProviders(c *call) {
	all := slices.SortedFunc(slices.Values(s.providers), func(a, b *client.Provider) int { return strings.Compare(a.Name, b.Name) })
	if !includesDeleted(c) {
		all = slices.DeleteFunc(all, func(p *client.Provider) bool { return p.Deleted })
	}
	list(c, all)
}

func (s *Server) getProvider(c *call) {
	if p := s.providerOrNone(c, includesDeleted(c)); p != nil {
		c.answer(http.StatusOK, p)
	}
}

func (s *Server) createProvider(c *call) {
	var req client.CreateProvider
	if !c.decode(&req) {
		return
	}
	switch {
	case req.Type != client.OpenAI && req.Type != client.Anthropic && req.Type != client.Gemini:
		c.invalid("body.type", "must be openai, anthropic or gemini")
		return
	case !nameForm.MatchString(req.Name) || len(req.Name) > 63:
		c.invalid("body.name", "must be lower-case letters, digits and single hyphens")
		return
	case !validURL(req.BaseURL):
		c.invalid("body.base_url", "must be an absolute http or https URL")
		return
	case s.find(req.Name, false) != nil:
		c.problem(http.StatusConflict, "the name is taken", client.FieldError{Location: "body.name", Message: "is taken"})
		return
	}
	p := &client.Provider{
		ID: s.newID(), Type: req.Type, Name: req.Name, DisplayName: req.DisplayName, BaseURL: req.BaseURL,
		Enabled: req.Enabled == nil || *req.Enabled, Settings: req.Settings, Strategy: cmp.Or(req.Strategy, "in_order"),
		Revision: 1, CreatedAt: now(), UpdatedAt: now(), APIKeys: []client.ProviderKey{},
	}
	for i, k := range req.APIKeys {
		if !s.addKey(c, p, "body.api_keys["+strconv.Itoa(i)+"]", client.AddKey{APIKey: k}) {
			return
		}
	}
	s.providers = append(s.providers, p)
	s.record(c, "create", "ai_provider", p.ID, p.Name, map[string]any{
		"name": change{nil, p.Name}, "base_url": change{nil, p.BaseURL}, "enabled": change{nil, p.Enabled},
	})
	c.w.Header().Set("Location", "/api/v1/ai/providers/"+p.Name)
	c.answer(http.StatusCreated, p)
}

type change struct {
	Old any `json:"old"`
	New any `json:"new"`
}

func (s *Server) updateProvider(c *call) {
	p := s.provider(c)
	if p == nil {
		return
	}
	var req struct {
		DisplayName given[string]             `json:"display_name"`
		Enabled     given[bool]               `json:"enabled"`
		BaseURL     given[string]             `json:"base_url"`
		Strategy    given[string]             `json:"strategy"`
		Settings    given[json.RawMessage]    `json:"settings"`
		APIKeys     given[[]client.KeepOrAdd] `json:"api_keys"`
	}
	if !c.decode(&req) || !s.fresh(c, p) {
		return
	}
	changed := *p
	changed.APIKeys = slices.Clone(p.APIKeys)
	diff := map[string]any{}
	if req.DisplayName.sent {
		diff["display_name"] = change{p.DisplayName, req.DisplayName.value}
		changed.DisplayName = req.DisplayName.value
	}
	if req.Enabled.sent {
		if req.Enabled.value == nil {
			c.invalid("body.enabled", "must not be null")
			return
		}
		diff["enabled"] = change{p.Enabled, *req.Enabled.value}
		changed.Enabled = *req.Enabled.value
	}
	if req.Strategy.sent {
		if req.Strategy.value == nil {
			c.invalid("body.strategy", "must not be null")
			return
		}
		diff["strategy"] = change{p.Strategy, *req.Strategy.value}
		changed.Strategy = *req.Strategy.value
	}
	if req.Settings.sent {
		diff["settings"] = map[string]bool{"secret": true}
		changed.Settings = nil
		if req.Settings.value != nil {
			changed.Settings = *req.Settings.value
		}
	}
	if req.BaseURL.sent {
		if req.BaseURL.value == nil || !validURL(*req.BaseURL.value) {
			c.invalid("body.base_url", "must be an absolute http or https URL")
			return
		}
		diff["base_url"] = change{p.BaseURL, *req.BaseURL.value}
		changed.BaseURL = *req.BaseURL.value
	}
	if req.APIKeys.sent {
		if req.APIKeys.value == nil {
			c.invalid("body.api_keys", "must not be null")
			return
		}
		if !s.declareKeys(c, &changed, *req.APIKeys.value) {
			return
		}
	}
	if origin(changed.BaseURL) != origin(p.BaseURL) {
		for _, k := range changed.APIKeys {
			if slices.ContainsFunc(p.APIKeys, func(old client.ProviderKey) bool { return old.ID == k.ID }) {
				c.invalid("body.api_keys", "must be given again when the origin of base_url changes")
				return
			}
		}
	}
	changed.Revision++
	changed.UpdatedAt = now()
	*p = changed
	s.record(c, "update", "ai_provider", p.ID, p.Name, diff)
	c.answer(http.StatusOK, p)
}

func (s *Server) deleteProvider(c *call) {
	p := s.provider(c)
	if p == nil || !s.fresh(c, p) {
		return
	}
	p.Deleted, p.Enabled, p.Settings, p.APIKeys = true, false, nil, []client.ProviderKey{}
	p.Revision++
	p.UpdatedAt = now()
	s.record(c, "delete", "ai_provider", p.ID, p.Name, map[string]any{"deleted": change{false, true}})
	c.w.WriteHeader(http.StatusNoContent)
}

// deletedProvider returns the deleted provider that the path names by its id,
// if the request may change it. Otherwise it answers.
func (s *Server) deletedProvider(c *call) *client.Provider {
	p := s.providerOrNone(c, true)
	switch {
	case p == nil:
		return nil
	case !p.Deleted:
		c.problem(http.StatusConflict, "it is not deleted")
		return nil
	case !s.fresh(c, p):
		return nil
	}
	return p
}

func (s *Server) restoreProvider(c *call) {
	p := s.deletedProvider(c)
	if p == nil {
		return
	}
	if s.find(p.Name, false) != nil {
		c.problem(http.StatusConflict, "another provider has its name")
		return
	}
	p.Deleted = false
	p.Revision++
	p.UpdatedAt = now()
	s.record(c, "restore", "ai_provider", p.ID, p.Name, map[string]any{"deleted": change{true, false}})
	c.answer(http.StatusOK, p)
}

func (s *Server) purgeProvider(c *call) {
	p := s.deletedProvider(c)
	if p == nil {
		return
	}
	s.providers = slices.DeleteFunc(s.providers, func(q *client.Provider) bool { return q == p })
	s.record(c, "purge", "ai_provider", p.ID, p.Name, map[string]any{"deleted": change{true, nil}})
	c.w.WriteHeader(http.StatusNoContent)
}

func (s *Server) listModels(c *call) {
	a, ok := s.models[c.r.PathValue("provider")]
	if !ok {
		a = answer{http.StatusNotFound, `{"error":{"message":"there is no list of models"}}`}
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(a.status)
	_, _ = c.w.Write([]byte(a.body)) // a client that left does not hear it
}

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

func origin(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

func expired(t *time.Time) bool { return t != nil && t.Before(time.Now()) }
