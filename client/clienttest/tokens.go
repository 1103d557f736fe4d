package clienttest

import (
	"net/http"
	"slices"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// addToken makes a token of t and returns it.
func (s *Server) addToken(t *client.Token) string {
	bearer := token.New().Reveal()
	t.ID, t.CreatedAt = s.newID(), now()
	s.tokens = append(s.tokens, t)
	s.bearers[bearer] = t.ID
	return bearer
}

func (s *Server) listTokens(c *call) {
	ref := c.r.URL.Query().Get("owner")
	if ref == "" {
		list(c, s.tokens)
		return
	}
	i := s.user(ref)
	if i < 0 {
		c.invalid("query.owner", "is no user")
		return
	}
	var theirs []*client.Token
	for _, t := range s.tokens {
		if t.Owner == s.users[i].Name {
			theirs = append(theirs, t)
		}
	}
	list(c, theirs)
}

// token returns the place of the token that the path names, or answers 404 and
// returns -1.
func (s *Server) token(c *call) int {
	i := slices.IndexFunc(s.tokens, func(t *client.Token) bool { return t.ID == c.r.PathValue("id") })
	if i < 0 {
		c.problem(http.StatusNotFound, "there is no such token")
	}
	return i
}

func (s *Server) getToken(c *call) {
	if i := s.token(c); i >= 0 {
		c.answer(http.StatusOK, s.tokens[i])
	}
}

func (s *Server) createToken(c *call) {
	var req client.CreateToken
	if !c.decode(&req) {
		return
	}
	switch {
	case req.Name == "":
		c.invalid("body.name", "must not be empty")
		return
	case len(req.Scopes) == 0:
		c.invalid("body.scopes", "must name at least one scope")
		return
	case req.Owner != "" && s.user(req.Owner) < 0:
		c.invalid("body.owner", "is no user")
		return
	case expired(req.ExpiresAt):
		c.invalid("body.expires_at", "must be in the future")
		return
	}
	t := &client.Token{
		Name: req.Name, Owner: c.actor.Owner, Scopes: req.Scopes,
		Providers: req.Providers, Models: req.Models, RPM: req.RPM, Concurrency: req.Concurrency, ExpiresAt: req.ExpiresAt,
	}
	if req.Owner != "" {
		t.Owner = s.users[s.user(req.Owner)].Name
	}
	bearer := s.addToken(t)
	s.record(c, "create", "api_key", t.ID, t.Name, map[string]any{"name": change{nil, t.Name}})
	c.w.Header().Set("Location", "/api/v1/tokens/"+t.ID)
	c.answer(http.StatusCreated, client.CreatedToken{Token: *t, Secret: bearer})
}

func (s *Server) deleteToken(c *call) {
	i := s.token(c)
	if i < 0 {
		return
	}
	t := s.tokens[i]
	s.tokens = slices.Delete(s.tokens, i, i+1)
	s.record(c, "delete", "api_key", t.ID, t.Name, map[string]any{"name": change{t.Name, nil}})
	c.w.WriteHeader(http.StatusNoContent)
}
