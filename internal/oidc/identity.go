package oidc

import (
	"errors"
	"slices"
	"strings"
)

// maxSubject is the longest subject of a user, in bytes, as OpenID Connect has it.
const maxSubject = 255

// An Identity is who somebody is at a provider, and what the settings give them.
type Identity struct {
	Provider        string // its name
	Issuer, Subject string
	// Names are what they may be called by, the best first.
	Names []string
	// Roles are those that the settings give. If they are not Mapped, they are for a new
	// user alone.
	Roles  []string
	Mapped bool
}

// claims are those of an ID token.
type claims map[string]any

// at returns a claim by its name, or by the way that dots lead.
func (c claims) at(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	inner, isObject := c[first].(map[string]any)
	if !ok || !isObject {
		return nil
	}
	return claims(inner).at(rest)
}

func (c claims) text(name string) string {
	s, _ := c.at(name).(string)
	return strings.TrimSpace(s)
}

// texts returns a claim that is one text or a list of them.
func texts(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// identify says what the settings give to whoever has these claims.
func (p *Provider) identify(c claims) (Identity, error) {
	cfg := p.cfg
	if len(cfg.EmailDomains) > 0 {
		_, domain, _ := strings.Cut(c.text("email"), "@")
		if !verified(c["email_verified"]) || !slices.ContainsFunc(cfg.EmailDomains, func(d string) bool { return strings.EqualFold(d, domain) }) {
			return Identity{}, p.refuse(EmailDomain, errors.New("the ID token has no verified address of an allowed domain"))
		}
	}
	subject, _ := c["sub"].(string)
	id := Identity{Provider: cfg.Name, Issuer: cfg.Issuer, Subject: subject, Mapped: cfg.RolesClaim != ""}
	for _, name := range []string{cfg.NameClaim, "preferred_username", "email", "name"} {
		if s := c.text(name); s != "" && !slices.Contains(id.Names, s) {
			id.Names = append(id.Names, s)
		}
	}
	if id.Mapped {
		for _, v := range texts(c.at(cfg.RolesClaim)) {
			if role, ok := cfg.Roles[v]; ok && !slices.Contains(id.Roles, role) {
				id.Roles = append(id.Roles, role)
			}
		}
		slices.Sort(id.Roles)
	}
	if id.Roles == nil && cfg.DefaultRole != "" {
		id.Roles = []string{cfg.DefaultRole}
	}
	if id.Roles == nil && id.Mapped {
		return Identity{}, p.refuse(NoRole, nil)
	}
	return id, nil
}

// verified reads email_verified, which some providers send as text.
func verified(v any) bool { return v == true || v == "true" }
