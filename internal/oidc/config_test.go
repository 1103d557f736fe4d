package oidc_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/oidc"
)

func TestSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := func() oidc.Config {
		return oidc.Config{Name: "acme", Issuer: "https://idp.example.com/realm", ClientID: "c", DefaultRole: "member", CreateUsers: true, Scopes: []string{"email", "api://x/.default"}}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for want, set := range map[string]func(*oidc.Config){
		"name":                  func(c *oidc.Config) { c.Name = "Acme/.." },
		"display_name":          func(c *oidc.Config) { c.DisplayName = strings.Repeat("x", 65) },
		"issuer: must begin":    func(c *oidc.Config) { c.Issuer = "http://idp.example.com" },
		"issuer: must be a URL": func(c *oidc.Config) { c.Issuer = "https://u:p@idp.example.com" },
		"client_id":             func(c *oidc.Config) { c.ClientID = "" },
		"scopes":                func(c *oidc.Config) { c.Scopes = []string{"a b"} },
		"roles_claim":           func(c *oidc.Config) { c.Roles = map[string]string{"a": "member"} },
		"roles: is required":    func(c *oidc.Config) { c.RolesClaim = "groups" },
		"roles: must have":      func(c *oidc.Config) { c.RolesClaim, c.Roles = "groups", map[string]string{"a": "Owner!"} },
		"default_role: is":      func(c *oidc.Config) { c.DefaultRole = "" },
		"default_role: must":    func(c *oidc.Config) { c.DefaultRole = "system:compiler" },
		"email_domains":         func(c *oidc.Config) { c.EmailDomains = []string{"@example.com"} },
	} {
		c := good()
		set(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
