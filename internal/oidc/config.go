package oidc

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// namePattern is what the name of a provider looks like.
var (
	namePattern   = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	domainPattern = regexp.MustCompile(`^[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+$`)
	scopePattern  = regexp.MustCompile(`^[!#-\[\]-~]+$`)
)

const (
	maxName     = 32
	maxShown    = 64
	maxRoleMaps = 256
)

// Check returns all that is wrong with c, each error beginning with the name of its
// setting. It does not know which roles there are.
func (c Config) Check() error {
	var bad []error
	refuse := func(setting, reason string) { bad = append(bad, fmt.Errorf("%s: %s", setting, reason)) }
	if len(c.Name) > maxName || !namePattern.MatchString(c.Name) {
		refuse("name", fmt.Sprintf("must be at most %d lower-case letters and digits, with single hyphens between them", maxName))
	}
	if len(c.DisplayName) > maxShown {
		refuse("display_name", fmt.Sprintf("must be at most %d bytes", maxShown))
	}
	if err := CheckURL(c.Issuer); err != nil {
		refuse("issuer", err.Error())
	}
	if c.ClientID == "" {
		refuse("client_id", "is required")
	}
	if slices.ContainsFunc(c.Scopes, func(s string) bool { return !scopePattern.MatchString(s) }) {
		refuse("scopes", "must each be one word")
	}
	switch {
	case c.RolesClaim == "" && len(c.Roles) > 0:
		refuse("roles_claim", "is required with roles: it says by which claim they are given")
	case c.RolesClaim != "" && len(c.Roles) == 0:
		refuse("roles", "is required with roles_claim: it says which value gives which role")
	case c.RolesClaim == "" && c.DefaultRole == "" && c.CreateUsers:
		refuse("default_role", "is required, or roles_claim and roles: else nobody could be let in")
	}
	if len(c.Roles) > maxRoleMaps {
		refuse("roles", fmt.Sprintf("must be at most %d", maxRoleMaps))
	}
	for _, role := range c.Roles {
		if !namePattern.MatchString(role) {
			refuse("roles", "must have the name of a role for each value")
			break
		}
	}
	if c.DefaultRole != "" && !namePattern.MatchString(c.DefaultRole) {
		refuse("default_role", "must be the name of a role")
	}
	if slices.ContainsFunc(c.EmailDomains, func(s string) bool { return !domainPattern.MatchString(s) }) {
		refuse("email_domains", "must be domains, such as example.com")
	}
	return errors.Join(bad...)
}
