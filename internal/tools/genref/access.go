package main

import (
	"strings"

	"github.com/gatehousehq/gatehouse/internal/rbac"
)

func scopesPage(string) ([]byte, error) {
	p := newPage("Scopes",
		"A token has at least one scope. A scope narrows a token to a part of what its owner's [role](roles.md) grants, and adds nothing to it: a token of a member with the scope `all` may do what a member may.",
		"A token cannot be given a scope that the token making it has not. A token with a list of providers or models can have scopes of the gateway only.")
	var rows [][]string
	for _, s := range rbac.Scopes() {
		covers := "all that its owner may, what later versions add included"
		if s != rbac.ScopeAll {
			var names []string
			for _, q := range rbac.Permissions() {
				if s.Covers(q) && rbac.Owner.Reach(q) != rbac.None {
					names = append(names, q.String())
				}
			}
			covers = code(names...)
		}
		rows = append(rows, []string{code(string(s)), covers})
	}
	p.table([]string{"Scope", "Covers the permissions"}, rows)
	return p.bytes(), nil
}

func rolesPage(string) ([]byte, error) {
	p := newPage("Roles",
		"A role grants permissions: an action on a kind of resource, on all records of the kind or on one's own only. What is not granted is refused.",
		"Whoever has no right on a kind is answered 403; a record that is there but outside one's view is answered 404, like one that is not.")
	list := func(forPeople bool) {
		var roles []rbac.Role
		head := []string{"Permission"}
		for _, r := range rbac.Roles() {
			if r.ForPeople() == forPeople {
				roles = append(roles, r)
				head = append(head, code(strings.TrimPrefix(string(r), "system:")))
			}
		}
		var rows [][]string
		for _, q := range rbac.Permissions() {
			row, granted := []string{code(q.String())}, false
			for _, r := range roles {
				reach := r.Reach(q)
				granted = granted || reach != rbac.None
				row = append(row, map[rbac.Reach]string{rbac.None: "", rbac.Own: "own", rbac.All: "all"}[reach])
			}
			if granted {
				rows = append(rows, row)
			}
		}
		p.table(head, rows)
	}
	p.heading(2, "Roles of people")
	list(true)
	p.heading(2, "Parts of the system")
	p.text("These act by themselves, each with the least that its work needs. No person and no token can have such a role, and no scope covers what only they may: `open`, to read a sealed secret, and `use` of a key or token, to note when it was last used.")
	list(false)
	return p.bytes(), nil
}
