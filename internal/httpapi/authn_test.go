package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/token"
)

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		disabled := dbgen.User(t, s.DB, store.User{Roles: store.SetOf(string(rbac.Owner))})
		theirs := s.with(t, disabled, store.APIKey{Scopes: store.SetOf("all")})
		theirs.want(t, http.StatusOK, "GET", providers, "")
		disable(t, s, disabled)

		end := s.clock.now().Add(time.Minute)
		expired := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf("all"), ExpiresAt: end})
		s.clock.set(end.Add(-time.Microsecond))
		expired.want(t, http.StatusOK, "GET", providers, "")
		s.clock.set(end)

		revoked, revokedToken := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{Scopes: store.SetOf("all")})
		s.as(revokedToken).want(t, http.StatusOK, "GET", providers, "")
		s.want(t, http.StatusNoContent, "DELETE", tokens+"/"+revoked.ID, "")

		good := s.token.Reveal()
		mistyped := []byte(good)
		mistyped[10] = map[bool]byte{true: 'b', false: 'a'}[mistyped[10] == 'a']
		unknown := token.New()
		s.log.guard(unknown.Reveal())
		nobody := s.as(secret.Text{})
		before := s.dump(t)
		for _, c := range []struct{ name, value, why string }{
			{"missing", "", "a Gatehouse token is needed"},
			{"empty", "Bearer", "a Gatehouse token is needed"},
			{"blank", "Bearer   ", "a Gatehouse token is needed"},
			{"another scheme", "Basic " + good, "a Gatehouse token is needed"},
			{"no scheme", good, "a Gatehouse token is needed"},
			{"not a token", "Bearer sk-something", "mistyped or cut"},
			{"mistyped", "Bearer " + string(mistyped), "mistyped or cut"},
			{"cut", "Bearer " + good[:len(good)-1], "mistyped or cut"},
			{"two", "Bearer " + good + " " + good, "mistyped or cut"},
			{"with more behind it", "Bearer " + good + "x", "mistyped or cut"},
			{"unknown", "Bearer " + unknown.Reveal(), "unknown here, or was revoked"},
			{"revoked", "Bearer " + revokedToken.Reveal(), "unknown here, or was revoked"},
			{"expired", "Bearer " + expired.token.Reveal(), "has expired"},
			{"of a disabled user", "Bearer " + theirs.token.Reveal(), "is disabled"},
		} {
			for _, route := range []string{"GET " + providers, "POST " + tokens, "GET /api/v1/version", "DELETE " + providers + "/p"} {
				method, path, _ := strings.Cut(route, " ")
				var headers []header
				if c.value != "" {
					headers = append(headers, header{"Authorization", c.value})
				}
				a := nobody.call(t, method, path, "", headers...)
				p := refusal(t, a, http.StatusUnauthorized)
				if !strings.Contains(p.Detail, c.why) || a.header.Get("WWW-Authenticate") != `Bearer realm="gatehouse"` {
					t.Errorf("%s: %s: %v %s", c.name, route, a.header, p.Detail)
				}
			}
		}
		for _, elsewhere := range []header{{"X-Api-Key", good}, {"X-Goog-Api-Key", good}, {"Cookie", "token=" + good}, {"Proxy-Authorization", "Bearer " + good}} {
			refusal(t, nobody.call(t, "GET", providers, "", elsewhere), http.StatusUnauthorized)
		}
		refusal(t, nobody.call(t, "GET", providers+"?token="+good, ""), http.StatusUnauthorized)
		if s.dump(t) != before {
			t.Error("refused tokens changed the database")
		}
		nobody.want(t, http.StatusOK, "GET", providers, "", header{"Authorization", "bearer  " + good + " "}) // the scheme has no case
	})
}

func disable(t *testing.T, s *server, u store.User) {
	t.Helper()
	err := s.Update(t.Context(), dbgen.Owner, func(tx store.Tx) error {
		_, err := tx.Users.Update(t.Context(), u.ID, func(u *store.User) error {
			u.Disabled = true
			return nil
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenRoutesTakeNoToken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		for _, path := range []string{"/healthz", "/readyz", "/api/v1/openapi.json"} {
			if a := nobody.want(t, http.StatusOK, "GET", path, ""); a.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s is %s", path, a.header.Get("Content-Type"))
			}
			nobody.want(t, http.StatusOK, "GET", path, "", header{"Authorization", "Bearer nonsense"})
		}
	})
}
