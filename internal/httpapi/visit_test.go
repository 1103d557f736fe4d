package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// TestAPageOfAnotherSiteChangesNothing is S2 of the threat model: each case on each
// route that changes something.
func TestAPageOfAnotherSiteChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody, in := s.as(secret.Text{}), s.signedIn(t, s.owner)
		own := s.url
		routes := append(routesOf(t, s, 1), route{"DELETE", sessionPath, sessionPath, ""}, route{"POST", myPassword, myPassword, `{"new":"` + password(1) + `"}`})
		before := s.dump(t)
		for _, c := range []csrfCase{
			{"another site", []header{{"Sec-Fetch-Site", "cross-site"}}, false},
			{"another site, with its origin", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.com"}}, false},
			{"another host of the site", []header{{"Sec-Fetch-Site", "same-site"}}, false},
			{"another port of the machine", []header{{"Sec-Fetch-Site", "same-site"}, {"Origin", "http://127.0.0.1:1"}}, false},
			{"another port, of an old browser", []header{{"Origin", "http://127.0.0.1:1"}}, false},
			{"an opaque origin", []header{{"Origin", "null"}}, false},
			{"another site, of an old browser", []header{{"Origin", "https://evil.example.com"}}, false},
			{"another site that says it is this one", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", own}}, false},
			{"a form", []header{{"Sec-Fetch-Site", "cross-site"}, {"Content-Type", "text/plain"}}, false},
			{"nothing said", nil, false},
			{"an unknown word", []header{{"Sec-Fetch-Site", "elsewhere"}}, false},
		} {
			for _, r := range routes {
				if r.method == "GET" {
					continue
				}
				a := nobody.call(t, r.method, r.path, r.body, append([]header{in}, c.headers...)...)
				// What does not look as from the machine itself has no cookie that counts.
				if a.status != http.StatusForbidden && a.status != http.StatusUnauthorized {
					t.Errorf("%s: %s %s: %d %s", c.name, r.method, r.pattern, a.status, a.body)
				}
			}
			if s.dump(t) != before {
				t.Fatalf("%s changed the database", c.name)
			}
		}
		for _, c := range []csrfCase{
			{"the page itself", []header{fromPage}, true},
			{"the page itself, of an old browser", []header{{"Origin", own}}, true},
		} {
			nobody.want(t, http.StatusCreated, "POST", usersPath, `{"name":"`+c.name+`","roles":[]}`, append([]header{in}, c.headers...)...)
		}
	})
}

func TestACookieIsGoodForTheAPIAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody, in := s.as(secret.Text{}), s.signedIn(t, s.owner)
		nobody.want(t, http.StatusUnauthorized, "GET", "/metrics", "", in)
		value := strings.TrimPrefix(in.value, "gatehouse-session=")
		secure := header{"Cookie", "__Host-gatehouse-session=" + value}
		for _, c := range []struct {
			name    string
			headers []header
			status  int
		}{
			{"the cookie, on the machine", []header{in}, 200},
			{"its secure name, by TLS", []header{secure, tls}, 200},
			{"its plain name, by TLS", []header{in, tls}, 401},
			{"its secure name, without TLS", []header{secure}, 401},
			{"its plain name, from elsewhere", []header{in, {"X-Forwarded-For", "192.0.2.1"}}, 401},
			{"as a token", []header{{"Authorization", "Bearer " + value}}, 401},
			{"with a token that is none", []header{in, {"Authorization", "Bearer gate_x"}}, 401},
			{"with an empty Authorization", []header{in, {"Authorization", ""}}, 401},
			{"with a name and a password", []header{in, {"Authorization", "Basic YTpi"}}, 401},
			{"cut", []header{{"Cookie", in.value[:len(in.value)-1]}}, 401},
			{"empty", []header{{"Cookie", "gatehouse-session="}}, 401},
		} {
			if a := nobody.call(t, "GET", "/api/v1/me", "", c.headers...); a.status != c.status {
				t.Errorf("%s: %d", c.name, a.status)
			}
		}
		// With both, the token counts.
		u := dbgen.User(t, s.DB, store.User{Name: "bob", Roles: store.SetOf("member")})
		bob := s.with(t, u, store.APIKey{Scopes: store.SetOf("all")})
		if me := decode[client.Me](t, bob.want(t, http.StatusOK, "GET", "/api/v1/me", "", in)); me.Name != "bob" {
			t.Errorf("with both, it is %s", me.Name)
		}
	})
}

// A name that leads to this machine may be one that somebody else gave out.
func TestAnotherNameOfTheMachineIsNotTheMachine(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		in := s.signedIn(t, s.owner)
		for host, want := range map[string]int{
			"127.0.0.1:8090": 200, "localhost": 200, "LOCALHOST:1": 200, "[::1]:8090": 200,
			"rebound.example.com": 401, "127.0.0.1.example.com": 401, "localhost.example.com:8090": 401, "192.0.2.1": 401, "": 401,
		} {
			r := httptest.NewRequest("GET", "/api/v1/me", nil)
			r.Host, r.RemoteAddr = host, "127.0.0.1:4711"
			r.Header.Set(in.name, in.value)
			w := httptest.NewRecorder()
			s.routes.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("host %q: %d, want %d", host, w.Code, want)
			}
			r.RemoteAddr = "192.0.2.9:4711"
			w = httptest.NewRecorder()
			s.routes.ServeHTTP(w, r)
			if w.Code != 401 {
				t.Errorf("host %q from elsewhere: %d", host, w.Code)
			}
		}
	})
}

// Only a trusted proxy is believed that it was asked by TLS.
func TestAnybodyCanSayThatTheyCameByTLS(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		_, value, _ := strings.Cut(s.signedIn(t, s.owner).value, "=")
		for peer, want := range map[string]int{"127.0.0.1:4711": 200, "[::ffff:127.0.0.1]:4711": 200, "192.0.2.9:4711": 401, "[::1]:4711": 401, "nobody": 401} {
			r := httptest.NewRequest("GET", "/api/v1/me", nil)
			r.Host, r.RemoteAddr = "gatehouse.example.com", peer
			r.Header.Set(tls.name, tls.value)
			r.Header.Set("Cookie", "__Host-gatehouse-session="+value)
			w := httptest.NewRecorder()
			s.routes.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("from %s: %d, want %d", peer, w.Code, want)
			}
		}
	})
}
