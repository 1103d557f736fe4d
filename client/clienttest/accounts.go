package clienttest

import (
	"net/http"
	"slices"

	"github.com/gatehousehq/gatehouse/client"
)

// builtIn are the roles that every server has. What they grant is cut down to
// what tells them apart.
func builtIn() []*client.Role {
	return []*client.Role{
		{Name: "auditor", Description: "Reads", BuiltIn: true, Permissions: []string{"audit_log:read"}},
		{Name: "member", Description: "Uses the gateway", BuiltIn: true, Permissions: []string{"api_key:read:own", "gateway:use"}},
		{Name: "owner", Description: "Everything", BuiltIn: true, Permissions: []string{"api_key:create", "user:create"}},
	}
}

// user returns the place of the user of that name or id, -1 if there is none.
func (s *Server) user(ref string) int {
	return slices.IndexFunc(s.users, func(u *client.User) bool { return u.Name == ref || u.ID == ref })
}

// role returns the place of the role of that name or id, -1 if there is none.
func (s *Server) role(ref string) int {
	return slices.IndexFunc(s.roles, func(r *client.Role) bool { return r.Name == ref || r.ID != nil && *r.ID == ref })
}

// found reports whether i is a place, or else answers 404.
func found(c *call, i int) bool {
	if i < 0 {
		c.problem(http.StatusNotFound, "there is no such thing")
	}
	return i >= 0
}

func (s *Server) me(c *call) {
	out := client.Me{Name: c.actor.Owner, TokenID: c.actor.ID, TokenName: c.actor.Name, Permissions: []string{}}
	if i := s.user(c.actor.Owner); i >= 0 {
		out.ID = s.users[i].ID
		for _, name := range s.users[i].Roles {
			out.Permissions = append(out.Permissions, s.roles[s.role(name)].Permissions...)
		}
	}
	c.answer(http.StatusOK, out)
}

func (s *Server) listUsers(c *call) { list(c, s.users) }

func (s *Server) getUser(c *call) {
	if i := s.user(c.r.PathValue("user")); found(c, i) {
		c.answer(http.StatusOK, s.users[i])
	}
}

// settable reports whether a user may have that name and those roles, or else
// answers. except is the place of the user who has the name already, -1 for a
// new one.
func (s *Server) settable(c *call, except int, name string, roles []string) bool {
	if name == "" {
		c.invalid("body.name", "must not be empty")
		return false
	}
	if i := s.user(name); i >= 0 && i != except {
		c.problem(http.StatusConflict, "the name is taken", client.FieldError{Location: "body.name", Message: "is taken"})
		return false
	}
	if slices.ContainsFunc(roles, func(r string) bool { return s.role(r) < 0 }) {
		c.invalid("body.roles", "has one that does not exist")
		return false
	}
	return true
}

func (s *Server) createUser(c *call) {
	var req client.CreateUser
	if !c.decode(&req) || !s.settable(c, -1, req.Name, req.Roles) {
		return
	}
	u := &client.User{ID: s.newID(), Name: req.Name, Roles: append([]string{}, req.Roles...), CreatedAt: now(), UpdatedAt: now()}
	s.users = append(s.users, u)
	s.record(c, "create", "user", u.ID, u.Name, map[string]any{"name": change{nil, u.Name}})
	c.w.Header().Set("Location", "/api/v1/users/"+u.ID)
	c.answer(http.StatusCreated, u)
}

func (s *Server) updateUser(c *call) {
	var req struct {
		Name     given[string]   `json:"name"`
		Roles    given[[]string] `json:"roles"`
		Disabled given[bool]     `json:"disabled"`
	}
	i := s.user(c.r.PathValue("user"))
	if !found(c, i) || !c.decode(&req) {
		return
	}
	if req.Name.sent && req.Name.value == nil || req.Roles.sent && req.Roles.value == nil || req.Disabled.sent && req.Disabled.value == nil {
		c.invalid("body", "must not have a null")
		return
	}
	next := *s.users[i]
	if req.Name.sent {
		next.Name = *req.Name.value
	}
	if req.Roles.sent {
		next.Roles = *req.Roles.value
	}
	if req.Disabled.sent {
		next.Disabled = *req.Disabled.value
	}
	if !s.settable(c, i, next.Name, next.Roles) || s.lastOwner(c, i, !next.Disabled && slices.Contains(next.Roles, "owner")) {
		return
	}
	for _, t := range s.tokens {
		if t.Owner == s.users[i].Name {
			t.Owner = next.Name
		}
	}
	next.UpdatedAt = now()
	*s.users[i] = next
	s.record(c, "update", "user", next.ID, next.Name, map[string]any{})
	c.answer(http.StatusOK, next)
}

// lastOwner reports whether no enabled owner would be left if the user at i were
// none, and answers.
func (s *Server) lastOwner(c *call, i int, remains bool) bool {
	for j, u := range s.users {
		if (j != i || remains) && !u.Disabled && slices.Contains(u.Roles, "owner") {
			return false
		}
	}
	c.problem(http.StatusConflict, "this is the last user with the role owner")
	return true
}

func (s *Server) deleteUser(c *call) {
	i := s.user(c.r.PathValue("user"))
	if !found(c, i) || s.lastOwner(c, i, false) {
		return
	}
	u := s.users[i]
	s.tokens = slices.DeleteFunc(s.tokens, func(t *client.Token) bool { return t.Owner == u.Name })
	s.users = slices.Delete(s.users, i, i+1)
	s.record(c, "delete", "user", u.ID, u.Name, map[string]any{"name": change{u.Name, nil}})
	c.w.WriteHeader(http.StatusNoContent)
}

// disabled reports whether the owner of a token is switched off.
func (s *Server) disabled(t *client.Token) bool {
	i := s.user(t.Owner)
	return i >= 0 && s.users[i].Disabled
}

func (s *Server) listRoles(c *call) { list(c, s.roles) }

func (s *Server) getRole(c *call) {
	if i := s.role(c.r.PathValue("role")); found(c, i) {
		c.answer(http.StatusOK, s.roles[i])
	}
}

func (s *Server) createRole(c *call) {
	var req client.CreateRole
	if !c.decode(&req) {
		return
	}
	switch {
	case !nameForm.MatchString(req.Name):
		c.invalid("body.name", "must be lower-case letters, digits and single hyphens")
		return
	case s.role(req.Name) >= 0:
		c.problem(http.StatusConflict, "the name is taken", client.FieldError{Location: "body.name", Message: "is taken"})
		return
	case len(req.Permissions) == 0:
		c.invalid("body.permissions", "must name at least one permission")
		return
	}
	r := &client.Role{
		ID: new(s.newID()), Name: req.Name, Description: req.Description, Permissions: req.Permissions,
		CreatedAt: new(now()), UpdatedAt: new(now()),
	}
	s.roles = append(s.roles, r)
	s.record(c, "create", "role", *r.ID, r.Name, map[string]any{"name": change{nil, r.Name}})
	c.w.Header().Set("Location", "/api/v1/roles/"+r.Name)
	c.answer(http.StatusCreated, r)
}

// changeable returns the place of the role that the path names, or answers and
// returns -1.
func (s *Server) changeable(c *call) int {
	i := s.role(c.r.PathValue("role"))
	if found(c, i) && s.roles[i].BuiltIn {
		c.problem(http.StatusConflict, "this role is built in")
		return -1
	}
	return i
}

func (s *Server) updateRole(c *call) {
	var req struct {
		Description given[string]   `json:"description"`
		Permissions given[[]string] `json:"permissions"`
	}
	i := s.changeable(c)
	if i < 0 || !c.decode(&req) {
		return
	}
	r := s.roles[i]
	if req.Permissions.sent {
		if req.Permissions.value == nil || len(*req.Permissions.value) == 0 {
			c.invalid("body.permissions", "must name at least one permission")
			return
		}
		r.Permissions = *req.Permissions.value
	}
	if req.Description.sent {
		r.Description = ""
		if req.Description.value != nil {
			r.Description = *req.Description.value
		}
	}
	r.UpdatedAt = new(now())
	s.record(c, "update", "role", *r.ID, r.Name, map[string]any{})
	c.answer(http.StatusOK, r)
}

func (s *Server) deleteRole(c *call) {
	i := s.changeable(c)
	if i < 0 {
		return
	}
	r := s.roles[i]
	if slices.ContainsFunc(s.users, func(u *client.User) bool { return slices.Contains(u.Roles, r.Name) }) {
		c.problem(http.StatusConflict, "this role is given to users")
		return
	}
	s.roles = slices.Delete(s.roles, i, i+1)
	s.record(c, "delete", "role", *r.ID, r.Name, map[string]any{"name": change{r.Name, nil}})
	c.w.WriteHeader(http.StatusNoContent)
}
