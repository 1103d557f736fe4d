package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

const (
	sessionPath  = "/api/v1/session"
	sessionsPath = "/api/v1/sessions"
	myPassword   = "/api/v1/me/password"
)

// password returns the n-th password that will do.
func password(n int) string { return fmt.Sprintf("a castle by the sea %d", n) }

// fromPage is what a browser says of a request of a page of this server, and tls
// what a proxy says of one that came to it by TLS.
var (
	fromPage = header{"Sec-Fetch-Site", "same-origin"}
	tls      = header{"X-Forwarded-Proto", "https"}
)

// setCookie returns the one cookie that an answer sets.
func setCookie(t *testing.T, a answer) *http.Cookie {
	t.Helper()
	all := (&http.Response{Header: a.header}).Cookies()
	if len(all) != 1 {
		t.Fatalf("status %d sets the cookies %v", a.status, all)
	}
	return all[0]
}

// signIn signs in as a browser on the machine does.
func (s *server) signIn(t *testing.T, name, pw string) header {
	t.Helper()
	b, err := json.Marshal(map[string]string{"name": name, "password": pw})
	if err != nil {
		t.Fatal(err)
	}
	c := setCookie(t, s.as(secret.Text{}).want(t, http.StatusCreated, "POST", sessionPath, string(b), fromPage))
	return header{"Cookie", c.Name + "=" + c.Value}
}

// signedIn returns who has a session in the database, as their browser.
func (s *server) signedIn(t *testing.T, u store.User) header {
	t.Helper()
	_, value := dbgen.Session(t, s.DB, u, store.Session{ExpiresAt: s.clock.now().Add(7 * 24 * time.Hour)})
	return header{"Cookie", "gatehouse-session=" + value.Reveal()}
}

// give gives a user a password.
func (s *server) give(t *testing.T, u store.User, pw string) {
	t.Helper()
	who := s.with(t, u, store.APIKey{Scopes: store.SetOf("all")})
	who.want(t, http.StatusNoContent, "POST", myPassword, `{"new":"`+pw+`"}`)
}

func TestSignInByPassword(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		if st := decode[client.SignedIn](t, s.want(t, http.StatusOK, "GET", sessionPath, "")); !st.New || st.PasswordSet || st.Session != nil || st.Name != "ada" {
			t.Errorf("before there is a password: %+v", st)
		}
		s.give(t, s.owner, password(1))
		if id := s.passwords.Load(); id == nil || *id != s.owner.ID {
			t.Error("nobody heard of the password")
		}
		start := len(s.Audit(t))
		body := `{"name":"ada","password":"` + password(1) + `"}`
		for _, c := range []struct {
			name, cookie string
			secure       bool
			headers      []header
		}{
			{"on the machine itself", "gatehouse-session", false, nil},
			{"behind a proxy with TLS", "__Host-gatehouse-session", true, []header{tls}},
		} {
			a := nobody.want(t, http.StatusCreated, "POST", sessionPath, body, append(c.headers, fromPage)...)
			got := setCookie(t, a)
			if got.Name != c.cookie || got.Secure != c.secure || !got.HttpOnly || got.SameSite != http.SameSiteStrictMode || got.Path != "/" || got.Domain != "" || len(got.Value) != 43 {
				t.Errorf("%s: the cookie %v", c.name, got)
			}
			st := decode[client.SignedIn](t, a)
			if st.Session == nil || !st.Session.Current || !st.Session.Active || st.Session.Method != "password" || st.Session.Provider != "" || !st.PasswordSet || st.New ||
				!slices.Equal(st.Roles, []string{"owner"}) || len(st.Permissions) < 30 || !got.Expires.Equal(st.Session.ExpiresAt.Truncate(time.Second)) ||
				st.Session.EndsAt.Sub(st.Session.CreatedAt) != 12*time.Hour || st.Session.ExpiresAt.Sub(st.Session.CreatedAt) != 7*24*time.Hour {
				t.Errorf("%s: %+v", c.name, st)
			}
			in := append([]header{{"Cookie", got.Name + "=" + got.Value}}, c.headers...)
			if again := decode[client.SignedIn](t, nobody.want(t, http.StatusOK, "GET", sessionPath, "", in...)); again.Session == nil || again.Session.ID != st.Session.ID {
				t.Errorf("%s: later: %+v", c.name, again)
			}
			// What was signed in with is in no log, and the cookie in no database.
			if s.log.leaked(got.Value) || strings.Contains(s.log.text(), got.Value) || strings.Contains(s.log.text(), password(1)) || strings.Contains(s.dump(t), got.Value) {
				t.Errorf("%s: the cookie or the password is kept", c.name)
			}
		}
		log := s.Audit(t)[start:]
		if len(log) != 2 || log[0].Action != rbac.Login || log[0].ActorID != s.owner.ID || log[0].TokenID != "" || log[0].Origin.Address != "127.0.0.1" {
			t.Errorf("the log has %+v", log)
		}
	})
}

func TestSignInByToken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		in := func(tok secret.Text) answer {
			s.log.guard(tok.Reveal())
			return nobody.call(t, "POST", sessionPath, `{"token":"`+tok.Reveal()+`"}`, fromPage)
		}
		a := in(s.token)
		if a.status != http.StatusCreated || decode[client.SignedIn](t, a).Session.Method != "token" {
			t.Fatalf("the owner's token: %d %s", a.status, a.body)
		}
		for name, k := range map[string]store.APIKey{
			"of one scope":          {Scopes: store.SetOf("gateway:use")},
			"of every resource":     {Scopes: store.SetOf("ai_provider:*", "user:*", "api_key:*")},
			"that expires":          {Scopes: store.SetOf("all"), ExpiresAt: s.clock.now().Add(time.Hour)},
			"with a list of models": {Scopes: store.SetOf("gateway:use"), Models: store.SetOf("m")},
		} {
			_, tok := dbgen.APIKey(t, s.DB, s.owner, k)
			if p := refusal(t, in(tok), http.StatusForbidden); !strings.Contains(p.Detail, "scope all") {
				t.Errorf("a token %s: %s", name, p.Detail)
			}
		}
		// It has all that its owner may do, and not what they may do later.
		_, spelt := dbgen.APIKey(t, s.DB, dbgen.User(t, s.DB, store.User{}), store.APIKey{
			Scopes: store.SetOf("gateway:*", "api_key:*", "interception:*", "password:*", "session:*"),
		})
		refusal(t, in(spelt), http.StatusForbidden)
		// It has the scope all, of what its owner might do when it was made.
		risen := dbgen.User(t, s.DB, store.User{})
		_, early := dbgen.APIKey(t, s.DB, risen, store.APIKey{Scopes: store.SetOf("all")})
		s.want(t, http.StatusOK, "PATCH", usersPath+"/"+risen.ID, `{"roles":["owner"]}`)
		refusal(t, in(early), http.StatusForbidden)
		refusal(t, in(secret.New("gate_nothing")), http.StatusUnauthorized)
		key, tok := dbgen.APIKey(t, s.DB, s.owner, store.APIKey{Scopes: store.SetOf("all")})
		s.want(t, http.StatusNoContent, "DELETE", tokens+"/"+key.ID, "")
		refusal(t, in(tok), http.StatusUnauthorized)
	})
}

func TestWhoIsNotLetIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		ann := dbgen.User(t, s.DB, store.User{Name: "ann"})
		s.give(t, ann, password(1))
		dbgen.User(t, s.DB, store.User{Name: "bob"}) // has none
		off := dbgen.User(t, s.DB, store.User{Name: "off"})
		s.give(t, off, password(2))
		s.want(t, http.StatusOK, "PATCH", usersPath+"/off", `{"disabled":true}`)
		before := s.dump(t)
		var texts []string
		for _, c := range []struct {
			name, body string
			status     int
			headers    []header
		}{
			{"a wrong password", `{"name":"ann","password":"` + password(9) + `"}`, 401, nil},
			{"a user who is not there", `{"name":"nobody","password":"` + password(1) + `"}`, 401, nil},
			{"the id in place of the name", `{"name":"` + ann.ID + `","password":"` + password(1) + `"}`, 401, nil},
			{"a user without a password", `{"name":"bob","password":"` + password(1) + `"}`, 401, nil},
			{"a user who is disabled, with another password", `{"name":"off","password":"` + password(1) + `"}`, 401, nil},
			{"a user who is disabled", `{"name":"off","password":"` + password(2) + `"}`, 401, nil},
			{"nothing", `{}`, 422, nil},
			{"no password", `{"name":"ann"}`, 422, nil},
			{"a password and a token", `{"name":"ann","password":"x","token":"y"}`, 422, nil},
			{"plain HTTP through a proxy", `{"name":"ann","password":"` + password(1) + `"}`, 403, []header{{"X-Forwarded-Proto", "http"}}},
			{"a proxy that does not say how it was asked", `{"name":"ann","password":"` + password(1) + `"}`, 403, []header{{"X-Forwarded-For", "192.0.2.1"}}},
			{"a page of another host through a proxy that says nothing", `{"name":"ann","password":"` + password(1) + `"}`, 403, []header{{"Origin", "https://gatehouse.example.com"}}},
			{"a page of another site", `{"name":"ann","password":"` + password(1) + `"}`, 403, []header{{"Sec-Fetch-Site", "cross-site"}}},
		} {
			a := nobody.call(t, "POST", sessionPath, c.body, c.headers...)
			p := refusal(t, a, c.status)
			if a.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: a cookie is set", c.name)
			}
			if c.status == 401 {
				texts = append(texts, p.Detail)
			}
			if strings.Contains(c.name, "plain HTTP") && !(strings.Contains(p.Detail, "--tls-cert") && strings.Contains(p.Detail, "--trusted-proxies")) {
				t.Errorf("%s: how to get TLS is not said: %s", c.name, p.Detail)
			}
		}
		if len(slices.Compact(texts[:5])) != 1 || texts[5] == texts[0] {
			t.Errorf("what is wrong can be told from %q", texts)
		}
		if s.dump(t) != before {
			t.Error("it changed the database")
		}
		want := []string{"ann session wrong_password", " session wrong_password", " session wrong_password", "bob session wrong_password", "off session wrong_password", "off session disabled_user"}
		if got := s.failures.Load(); got == nil || !slices.Equal(*got, want) {
			t.Errorf("the log is told of %v", got)
		}
	})
}

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		ann := dbgen.User(t, s.DB, store.User{Name: "ann"})
		s.give(t, ann, password(1))
		try := func(pw string, from int) answer {
			return nobody.call(t, "POST", sessionPath, `{"name":"ann","password":"`+pw+`"}`, tls, header{"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", from)})
		}
		if a := try(password(1), 1); a.status != http.StatusCreated { // who knows it is not counted
			t.Fatalf("the right one: %d", a.status)
		}
		for i := range 10 {
			refusal(t, try(password(9), 10+i), http.StatusUnauthorized)
		}
		a := try(password(1), 99)
		refusal(t, a, http.StatusTooManyRequests)
		if got := a.header.Get("Retry-After"); got != "30" {
			t.Errorf("to be tried again after %s", got)
		}
		s.clock.set(s.clock.now().Add(30 * time.Second))
		if a := try(password(1), 99); a.status != http.StatusCreated {
			t.Errorf("after that: %d %s", a.status, a.body)
		}
	})
}

// TestWhatEndsASessionEndsItOnEveryRoute is S1 of the threat model.
func TestWhatEndsASessionEndsItOnEveryRoute(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		routes := routesOf(t, s, 1)
		for name, end := range map[string]func(u store.User, in header){
			"signing out": func(_ store.User, in header) {
				a := nobody.want(t, http.StatusNoContent, "DELETE", sessionPath, "", in, fromPage)
				if c := setCookie(t, a); c.Name != "gatehouse-session" || c.Value != "" || c.MaxAge >= 0 {
					t.Errorf("signing out leaves the cookie %v", c)
				}
			},
			"ending it": func(_ store.User, in header) {
				st := decode[client.SignedIn](t, nobody.want(t, http.StatusOK, "GET", sessionPath, "", in))
				s.want(t, http.StatusNoContent, "DELETE", sessionsPath+"/"+st.Session.ID, "")
				s.want(t, http.StatusNotFound, "DELETE", sessionsPath+"/"+st.Session.ID, "")
			},
			"disabling the user": func(u store.User, _ header) {
				s.want(t, http.StatusOK, "PATCH", usersPath+"/"+u.ID, `{"disabled":true}`)
			},
			"disabling the user and enabling them again": func(u store.User, _ header) {
				s.want(t, http.StatusOK, "PATCH", usersPath+"/"+u.ID, `{"disabled":true}`)
				s.want(t, http.StatusOK, "PATCH", usersPath+"/"+u.ID, `{"disabled":false}`)
			},
			"another role": func(u store.User, _ header) {
				s.want(t, http.StatusOK, "PATCH", usersPath+"/"+u.ID, `{"roles":["owner","member"]}`)
			},
			"deleting the user": func(u store.User, _ header) { s.want(t, http.StatusNoContent, "DELETE", usersPath+"/"+u.ID, "") },
			"a password by another": func(u store.User, _ header) {
				s.want(t, http.StatusNoContent, "POST", usersPath+"/"+u.ID+"/password", `{"new":"`+password(5)+`"}`)
			},
			"a password of their own": func(u store.User, _ header) { s.give(t, u, password(6)) },
			"a password, in that session": func(_ store.User, in header) {
				nobody.want(t, http.StatusNoContent, "POST", myPassword, `{"new":"`+password(7)+`"}`, in, fromPage)
			},
		} {
			u := dbgen.User(t, s.DB, store.User{Roles: store.SetOf("owner")})
			in := s.signedIn(t, u)
			nobody.want(t, http.StatusOK, "GET", "/api/v1/me", "", in)
			end(u, in)
			for _, r := range append(routes, route{"DELETE", sessionPath, sessionPath, ""}, route{"POST", myPassword, myPassword, `{"new":"` + password(8) + `"}`}) {
				a := nobody.call(t, r.method, r.path, r.body, in, fromPage)
				if a.status != http.StatusUnauthorized {
					t.Errorf("after %s: %s %s: %d", name, r.method, r.pattern, a.status)
				}
			}
		}
	})
}

func TestSessionsEndByThemselves(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		in, start := s.signedIn(t, s.owner), s.clock.now()
		for i := range 15 { // used every 11 hours, until its lifetime is over
			s.clock.set(start.Add(time.Duration(i+1) * 11 * time.Hour))
			nobody.want(t, http.StatusOK, "GET", sessionPath, "", in)
		}
		s.clock.set(start.Add(7*24*time.Hour - time.Second))
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", in)
		s.clock.set(start.Add(7 * 24 * time.Hour))
		a := nobody.call(t, "GET", sessionPath, "", in)
		refusal(t, a, http.StatusUnauthorized)
		if c := setCookie(t, a); c.Value != "" || c.MaxAge >= 0 {
			t.Errorf("the cookie of a session that is over: %v", c)
		}
		idle := s.signedIn(t, s.owner)
		s.clock.set(s.clock.now().Add(12*time.Hour - time.Second))
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", idle)
		s.clock.set(s.clock.now().Add(12 * time.Hour))
		refusal(t, nobody.call(t, "GET", sessionPath, "", idle), http.StatusUnauthorized)
		list := decode[client.Page[client.Session]](t, s.want(t, http.StatusOK, "GET", sessionsPath, ""))
		if len(list.Items) != 1 || list.Items[0].Active { // the first went when the second was made
			t.Errorf("listed are %+v", list.Items)
		}
	})
}

// A case of csrf is what a browser sends with the cookie of somebody who is signed in.
type csrfCase struct {
	name    string
	headers []header
	allowed bool
}

func TestSigningInEndsTheSessionBefore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody, before := s.as(secret.Text{}), s.signedIn(t, s.owner)
		other := s.signedIn(t, s.owner)
		a := nobody.want(t, http.StatusCreated, "POST", sessionPath, `{"token":"`+s.token.Reveal()+`"}`, before, fromPage)
		if c := setCookie(t, a); strings.Contains(before.value, c.Value) {
			t.Error("the browser keeps its cookie")
		}
		refusal(t, nobody.call(t, "GET", sessionPath, "", before), http.StatusUnauthorized)
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", other)
	})
}

func TestChangingOnesPassword(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		u := dbgen.User(t, s.DB, store.User{Name: "ann", Roles: store.SetOf("auditor")})
		here, elsewhere := s.signedIn(t, u), s.signedIn(t, u)
		set := func(in header, current, next string) answer {
			b, err := json.Marshal(map[string]string{"current": current, "new": next})
			if err != nil {
				t.Fatal(err)
			}
			return nobody.call(t, "POST", myPassword, string(b), in, fromPage)
		}
		for name, bad := range map[string]string{"short": "short", "common": "password12345", "the name": "ann-ann-ann-ann"} {
			if p := refusal(t, set(here, "", bad), http.StatusUnprocessableEntity); p.Errors[0].Location != "body.new" || strings.Contains(p.Errors[0].Message, bad) {
				t.Errorf("%s: %+v", name, p.Errors)
			}
		}
		a := set(here, "", password(1))
		if a.status != http.StatusNoContent {
			t.Fatalf("the first: %d %s", a.status, a.body)
		}
		c := setCookie(t, a)
		now := header{"Cookie", c.Name + "=" + c.Value}
		for _, in := range []header{here, elsewhere} {
			refusal(t, nobody.call(t, "GET", sessionPath, "", in), http.StatusUnauthorized)
		}
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", now)
		for _, current := range []string{"", password(2)} {
			if p := refusal(t, set(now, current, password(3)), http.StatusUnprocessableEntity); p.Errors[0].Location != "body.current" {
				t.Errorf("with another: %+v", p.Errors)
			}
		}
		refusal(t, set(now, password(1), password(1)), http.StatusUnprocessableEntity)
		if a := set(now, password(1), password(3)); a.status != http.StatusNoContent {
			t.Errorf("with the current one: %d %s", a.status, a.body)
		}
		s.signIn(t, "ann", password(3))
		// A token of theirs cannot, if it cannot do all that they can, or expires.
		for name, k := range map[string]store.APIKey{
			"narrow": {Scopes: store.SetOf("password:*", "session:*")}, "expiring": {Scopes: store.SetOf("all"), ExpiresAt: s.clock.now().Add(time.Hour)},
		} {
			who := s.with(t, s.owner, k)
			a := who.call(t, "POST", myPassword, `{"new":"`+password(4)+`"}`)
			if refusal(t, a, http.StatusForbidden); a.header.Get("Set-Cookie") != "" {
				t.Errorf("a %s token gets a cookie", name)
			}
		}
	})
}

func TestAPasswordOfAnothersChoiceMustBeChanged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		u := dbgen.User(t, s.DB, store.User{Name: "ann", Roles: store.SetOf("owner")})
		s.want(t, http.StatusNoContent, "POST", usersPath+"/ann/password", `{"new":"`+password(1)+`"}`)
		in := s.signIn(t, "ann", password(1))
		if st := decode[client.SignedIn](t, nobody.want(t, http.StatusOK, "GET", sessionPath, "", in)); !st.PasswordMustChange {
			t.Errorf("signed in: %+v", st)
		}
		for _, r := range routesOf(t, s, 1) {
			if slices.Contains([]string{sessionPath, sessionsPath, "/api/v1/me", "/api/v1/version", "/metrics"}, r.pattern) || strings.HasPrefix(r.pattern, sessionsPath) {
				continue
			}
			refusal(t, nobody.call(t, r.method, r.path, strings.Replace(r.body, "SCOPE", "all", 1), in, fromPage), http.StatusForbidden)
		}
		a := nobody.want(t, http.StatusNoContent, "POST", myPassword, `{"current":"`+password(1)+`","new":"`+password(2)+`"}`, in, fromPage)
		c := setCookie(t, a)
		nobody.want(t, http.StatusOK, "GET", providers, "", header{"Cookie", c.Name + "=" + c.Value})

		// Their own they change elsewhere, and that of an owner an owner alone.
		refusal(t, s.call(t, "POST", usersPath+"/ada/password", `{"new":"`+password(3)+`"}`), http.StatusConflict)
		admin := s.with(t, dbgen.User(t, s.DB, store.User{Roles: store.SetOf("user-admin")}), store.APIKey{Scopes: store.SetOf("all")})
		refusal(t, admin.call(t, "POST", usersPath+"/"+u.ID+"/password", `{"new":"`+password(3)+`"}`), http.StatusForbidden)
		member := dbgen.User(t, s.DB, store.User{Name: "mem", Roles: store.SetOf("member")})
		admin.want(t, http.StatusNoContent, "POST", usersPath+"/mem/password", `{"new":"`+password(3)+`"}`)
		refusal(t, admin.call(t, "POST", usersPath+"/nobody/password", `{"new":"`+password(3)+`"}`), http.StatusNotFound)
		// Nor may a member, who sees nobody else.
		refusal(t, s.with(t, member, store.APIKey{Scopes: store.SetOf("all")}).call(t, "POST", usersPath+"/ann/password", `{"new":"`+password(3)+`"}`), http.StatusForbidden)
	})
}

func TestSessionsOfOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody := s.as(secret.Text{})
		ann, bob := dbgen.User(t, s.DB, store.User{Name: "ann"}), dbgen.User(t, s.DB, store.User{Name: "bob"})
		hers, his := s.signedIn(t, ann), s.signedIn(t, bob)
		names := func(a answer) (out []string) {
			for _, x := range decode[client.Page[client.Session]](t, a).Items {
				out = append(out, fmt.Sprint(x.User, x.Current))
			}
			return out
		}
		if got := names(nobody.want(t, http.StatusOK, "GET", sessionsPath, "", hers)); !slices.Equal(got, []string{"anntrue"}) {
			t.Errorf("ann sees %v", got)
		}
		if got := names(s.want(t, http.StatusOK, "GET", sessionsPath, "")); !slices.Equal(got, []string{"annfalse", "bobfalse"}) {
			t.Errorf("an owner sees %v", got)
		}
		if got := names(s.want(t, http.StatusOK, "GET", sessionsPath+"?user=bob", "")); !slices.Equal(got, []string{"bobfalse"}) {
			t.Errorf("of bob: %v", got)
		}
		refusal(t, s.call(t, "GET", sessionsPath+"?user=nobody", ""), http.StatusUnprocessableEntity)
		id := decode[client.SignedIn](t, nobody.want(t, http.StatusOK, "GET", sessionPath, "", his)).Session.ID
		refusal(t, nobody.call(t, "DELETE", sessionsPath+"/"+id, "", hers, fromPage), http.StatusNotFound)
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", his)
		nobody.want(t, http.StatusNoContent, "DELETE", sessionsPath+"/"+id, "", his, fromPage)
		refusal(t, s.call(t, "DELETE", sessionPath, ""), http.StatusNotFound) // a token is no session
	})
}

// Reading with a session writes nothing but that it is used, and that once a minute.
func TestReadingInASessionChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		nobody, in := s.as(secret.Text{}), s.signedIn(t, s.owner)
		routes := routesOf(t, s, 1)
		before := s.dump(t)
		for _, r := range routes {
			if r.method != "GET" || r.pattern == "/metrics" {
				continue
			}
			for _, method := range []string{"GET", "HEAD"} {
				nobody.want(t, http.StatusOK, method, r.path, "", in, header{"Sec-Fetch-Site", "cross-site"})
			}
			nobody.call(t, "OPTIONS", r.path, "", in)
			if s.dump(t) != before {
				t.Fatalf("%s changed the database", r.pattern)
			}
		}
		s.clock.set(s.clock.now().Add(59 * time.Second))
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", in)
		if s.dump(t) != before {
			t.Error("it is noted twice a minute")
		}
		s.clock.set(s.clock.now().Add(time.Second))
		nobody.want(t, http.StatusOK, "GET", sessionPath, "", in)
		if s.dump(t) == before {
			t.Error("it is not noted")
		}
	})
}
