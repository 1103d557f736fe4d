package app_test

import (
	"errors"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// status returns what the API answered, by err, 200 if it is nil.
func status(err error) int {
	if err == nil {
		return 200
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	return 0
}

// What is taken from a user is gone with the next request, on the API and on the
// gateway, and what is given to them is there.
func TestRolesAreInForceForTheNextRequest(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		ctx := t.Context()
		_, url := newUpstream(t, mockupstream.Config{})
		r := start(t, dataDir(t), flags...)
		r.add(t, "vendor", url+"/v1", goodKey)
		if _, err := r.owner.CreateRole(ctx, client.CreateRole{Name: "caller", Permissions: []string{"gateway:use", "api_key:read:own"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.owner.CreateUser(ctx, client.CreateUser{Name: "bea", Roles: []string{"caller"}}); err != nil {
			t.Fatal(err)
		}
		tok, err := r.owner.CreateToken(ctx, client.CreateToken{Name: "hers", Scopes: []string{"all"}, Owner: "bea"})
		if err != nil || tok.Owner != "bea" {
			t.Fatalf("token of %s, %v", tok.Owner, err)
		}
		bea := connect(t, r.URL(), tok.Secret)
		user := func(req client.UpdateUser) func() error {
			return func() error { _, err := r.owner.UpdateUser(ctx, "bea", req); return err }
		}
		role := func(permissions ...string) func() error {
			return func() error {
				_, err := r.owner.UpdateRole(ctx, "caller", client.UpdateRole{Permissions: client.Set(permissions)})
				return err
			}
		}
		for range 3 {
			for _, step := range []struct {
				name         string
				do           func() error
				gateway, api int
			}{
				{"as she is", func() error { return nil }, 200, 200},
				{"disabled", user(client.UpdateUser{Disabled: client.Set(true)}), 403, 401},
				{"enabled", user(client.UpdateUser{Disabled: client.Set(false)}), 200, 200},
				{"without a role", user(client.UpdateUser{Roles: client.Set([]string{})}), 403, 403},
				{"with another role", user(client.UpdateUser{Roles: client.Set([]string{"auditor"})}), 403, 403},
				{"with the first role", user(client.UpdateUser{Roles: client.Set([]string{"caller"})}), 200, 200},
				{"of a role that grants less", role("api_key:read:own"), 403, 200},
				{"of a role that grants other things", role("gateway:use"), 200, 403},
				{"of the role as it was", role("gateway:use", "api_key:read:own"), 200, 200},
			} {
				if err := step.do(); err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				if got, body := r.ask(t, "vendor", tok.Secret); got != step.gateway {
					t.Errorf("%s: the gateway answers %d, want %d: %s", step.name, got, step.gateway, body)
				}
				if _, err := bea.ListTokens(ctx, listAll); status(err) != step.api {
					t.Errorf("%s: the API answers %v, want %d", step.name, err, step.api)
				}
			}
		}
		if err := r.owner.DeleteUser(ctx, "bea"); err != nil {
			t.Fatal(err)
		}
		if got, body := r.ask(t, "vendor", tok.Secret); got != 401 {
			t.Errorf("deleted: the gateway answers %d: %s", got, body)
		}
		if _, err := bea.ListTokens(ctx, listAll); status(err) != 401 {
			t.Errorf("deleted: the API answers %v", err)
		}
	})
}
