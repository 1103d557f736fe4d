package client_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehousehq/gatehouse/client"
)

func TestUserFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	ctx := t.Context()
	// A name may have anything in it that a path has a meaning for.
	made, err := c.CreateUser(ctx, client.CreateUser{Name: "b/e ?a#%", Roles: []string{"member"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{made.Name, made.ID} {
		got, err := c.User(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made, got); diff != "" {
			t.Errorf("read by %s differs from created (-want +got):\n%s", ref, diff)
		}
	}
	tok, err := c.CreateToken(ctx, client.CreateToken{Name: "hers", Scopes: []string{"api_key:read"}, Owner: made.Name})
	if err != nil || tok.Owner != made.Name {
		t.Fatalf("token of %q, %v", tok.Owner, err)
	}
	n := 0
	for got, err := range c.TokensOf(ctx, made.Name) {
		if err != nil || got.ID != tok.ID {
			t.Errorf("token %+v, %v", got, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("she has %d tokens", n)
	}
	bea := connect(t, s.URL, tok.Secret)
	me, err := bea.Me(ctx)
	want := client.Me{ID: made.ID, Name: made.Name, TokenID: tok.ID, TokenName: "hers", Permissions: []string{"api_key:read:own", "gateway:use"}}
	if diff := cmp.Diff(want, me); diff != "" || err != nil {
		t.Errorf("who she is (-want +got):\n%s%v", diff, err)
	}
	got, err := c.UpdateUser(ctx, made.ID, client.UpdateUser{Name: client.Set("bea"), Roles: client.Set([]string{"auditor", "member"}), Disabled: client.Set(true)})
	changed := client.User{ID: made.ID, Name: "bea", Roles: []string{"auditor", "member"}, Disabled: true, CreatedAt: made.CreatedAt}
	if diff := cmp.Diff(changed, got, cmpopts.IgnoreFields(client.User{}, "UpdatedAt")); diff != "" || err != nil {
		t.Errorf("changed (-want +got):\n%s%v", diff, err)
	}
	_, err = bea.Me(ctx)
	refusal(t, err, http.StatusUnauthorized)
	if err := c.DeleteUser(ctx, "bea"); err != nil {
		t.Fatal(err)
	}
	refusal(t, c.DeleteUser(ctx, "bea"), http.StatusNotFound)
	var names []string
	for u, err := range c.Users(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, u.Name)
	}
	if diff := cmp.Diff([]string{"owner"}, names); diff != "" {
		t.Errorf("users left (-want +got):\n%s", diff)
	}
}

func TestRoleFromCreationToDeletion(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	made, err := c.CreateRole(ctx, client.CreateRole{Name: "keeper", Description: "d", Permissions: []string{"ai_provider:read"}})
	if err != nil || made.BuiltIn || made.ID == nil || made.CreatedAt == nil {
		t.Fatalf("made %+v, %v", made, err)
	}
	got, err := c.UpdateRole(ctx, *made.ID, client.UpdateRole{Description: client.Null[string]()})
	if err != nil || got.Description != "" || len(got.Permissions) != 1 {
		t.Errorf("changed %+v, %v", got, err)
	}
	built, err := c.Role(ctx, "owner")
	if err != nil || !built.BuiltIn || built.ID != nil || built.CreatedAt != nil {
		t.Errorf("built in %+v, %v", built, err)
	}
	refusal(t, c.DeleteRole(ctx, "owner"), http.StatusConflict)
	if err := c.DeleteRole(ctx, "keeper"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Role(ctx, "keeper")
	refusal(t, err, http.StatusNotFound)
	var names []string
	for r, err := range c.Roles(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"auditor", "member", "owner"}, names); diff != "" {
		t.Errorf("roles left (-want +got):\n%s", diff)
	}
}

func TestChangesOfAccountsSayWhatToKeepClearAndSet(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		req  any
		want string
	}{
		"zero keeps a user":      {client.UpdateUser{}, `{}`},
		"an empty list is set":   {client.UpdateUser{Roles: client.Set([]string{}), Disabled: client.Set(false)}, `{"roles":[],"disabled":false}`},
		"zero keeps a role":      {client.UpdateRole{}, `{}`},
		"null clears":            {client.UpdateRole{Description: client.Null[string]()}, `{"description":null}`},
		"a token of one's own":   {client.CreateToken{Name: "a", Scopes: []string{"all"}}, `{"name":"a","scopes":["all"]}`},
		"a token of another":     {client.CreateToken{Name: "a", Scopes: []string{"all"}, Owner: "bea"}, `{"name":"a","scopes":["all"],"owner":"bea"}`},
		"a user without a role":  {client.CreateUser{Name: "a", Roles: []string{}}, `{"name":"a","roles":[]}`},
		"a role with no comment": {client.CreateRole{Name: "a", Permissions: []string{"gateway:use"}}, `{"name":"a","permissions":["gateway:use"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tt.req)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}
