package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/store"
)

func TestTestTriesEveryKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "1", "2")
		s.want(t, http.StatusOK, "PATCH", providers+"/p/keys/"+p.APIKeys[1].ID, `{"label":"spare"}`)
		refused := client.KeyTest{Class: "key_refused", Status: 401, LatencyMS: 7, Message: "refused"}
		fine := client.KeyTest{OK: true, Class: "ok", Status: 200, LatencyMS: 5, Message: "fine"}
		fn := func(provider, id string) client.KeyTest {
			if provider == "p" && id == p.APIKeys[1].ID {
				return refused
			}
			return fine
		}
		s.test.Store(&fn)
		before := s.dump(t)
		got := decode[client.ProviderTest](t, s.want(t, http.StatusOK, "POST", providers+"/p/test", ""))
		one, two := fine, refused
		one.KeyID, one.Hint = p.APIKeys[0].ID, hintOf(s, "1")
		two.KeyID, two.Hint, two.Label = p.APIKeys[1].ID, hintOf(s, "2"), "spare"
		if diff := cmp.Diff(client.ProviderTest{Keys: []client.KeyTest{one, two}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if after := s.dump(t); after != before {
			t.Errorf("the test changed the database:\n%s", cmp.Diff(before, after))
		}
		// One that is switched off is tried, and does not count.
		s.want(t, http.StatusOK, "PATCH", providers+"/p/keys/"+p.APIKeys[1].ID, `{"disabled":true}`)
		if got := decode[client.ProviderTest](t, s.want(t, http.StatusOK, "POST", providers+"/p/test", "")); !got.OK || len(got.Keys) != 2 || got.Keys[1].OK {
			t.Errorf("with the second switched off: %+v", got)
		}
		s.provider(t, "keyless")
		if got := decode[client.ProviderTest](t, s.want(t, http.StatusOK, "POST", providers+"/keyless/test", "")); !got.OK || len(got.Keys) != 1 || got.Keys[0].KeyID != "" {
			t.Errorf("without keys: %+v", got)
		}
		s.want(t, http.StatusNotFound, "POST", providers+"/nobody/test", "")
	})
}

func TestRotateReplacesAKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "1", "2")
		old := p.APIKeys[0]
		s.want(t, http.StatusOK, "PATCH", providers+"/p/keys/"+old.ID, `{"label":"main","weight":7}`)
		drained := make(chan []client.ProviderKey, 1)
		drain := func(ctx context.Context, id string) bool {
			if end, ok := ctx.Deadline(); id != old.ID || !ok || time.Until(end) > 30*time.Second || time.Until(end) < 20*time.Second {
				t.Errorf("drains %s until %v", id, end)
			}
			drained <- get(t, s, p.ID).APIKeys
			return true
		}
		s.drain.Store(&drain)
		a := s.want(t, http.StatusOK, "POST", providers+"/p/keys/"+old.ID+"/rotate", `{"api_key":"`+s.key("3")+`"}`)
		got := decode[client.KeyRotation](t, a)
		k := got.Key
		if got.Replaced != old.ID || !got.Drained || got.Test == nil || !got.Test.OK || k.ID == old.ID || k.Label != "main" || k.Weight != 7 || k.Position != old.Position || k.Disabled || k.Hint != hintOf(s, "3") {
			t.Errorf("got %+v", got)
		}
		// While it was drained the new key was in force, and the old one off.
		states := map[string]bool{}
		for _, k := range <-drained {
			states[k.ID] = k.Disabled
		}
		if off, there := states[old.ID]; !there || !off || states[k.ID] || len(states) != 3 {
			t.Errorf("while it was drained: %v", states)
		}
		now := get(t, s, p.ID)
		if len(now.APIKeys) != 2 || now.APIKeys[0].ID != k.ID || now.APIKeys[1].ID != p.APIKeys[1].ID || etagOf(a) != now.Revision {
			t.Errorf("afterwards: %+v, ETag %s", now, a.header.Get("ETag"))
		}

		// What is off stays off.
		s.drain.Store(nil)
		s.want(t, http.StatusOK, "PATCH", providers+"/p/keys/"+p.APIKeys[1].ID, `{"disabled":true}`)
		got = decode[client.KeyRotation](t, s.want(t, http.StatusOK, "POST", providers+"/p/keys/"+p.APIKeys[1].ID+"/rotate", `{"api_key":"`+s.key("4")+`","skip_test":true,"drain_seconds":0}`))
		if !got.Key.Disabled || got.Test != nil {
			t.Errorf("got %+v", got)
		}
	})
}

// etagOf returns the revision that an answer names.
func etagOf(a answer) (n int64) {
	for _, c := range strings.Trim(a.header.Get("ETag"), `"`) {
		n = n*10 + int64(c-'0')
	}
	return n
}

// Whatever is wrong, nothing changes, and a key that could not be stored is not
// sent out.
func TestARotationThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "p", "1", "2")
		s.provider(t, "q", "1")
		rotate := providers + "/p/keys/" + p.APIKeys[0].ID + "/rotate"
		refuse := func(string, string) client.KeyTest {
			return client.KeyTest{Class: "key_refused", Status: 401, Message: "The provider refuses the key."}
		}
		s.test.Store(&refuse)
		before := s.dump(t)
		tried := s.tried.Load()
		for _, c := range []struct {
			name, path, body string
			status           int
		}{
			{"the key that is there", rotate, `{"api_key":"` + s.key("1") + `"}`, 409},
			{"the key beside it", rotate, `{"api_key":"` + s.key("2") + `"}`, 409},
			{"what is no key", rotate, `{"api_key":" x"}`, 422},
			{"no key", rotate, `{}`, 422},
			{"another provider", providers + "/q/keys/" + p.APIKeys[0].ID + "/rotate", `{"api_key":"` + s.key("5") + `"}`, 404},
			{"no such key", providers + "/p/keys/nobody/rotate", `{"api_key":"` + s.key("5") + `"}`, 404},
			{"too long a wait", rotate, `{"api_key":"` + s.key("5") + `","drain_seconds":301}`, 422},
		} {
			s.want(t, c.status, "POST", c.path, c.body)
			if s.tried.Load() != tried {
				t.Errorf("%s: the key was sent out", c.name)
				tried = s.tried.Load()
			}
		}
		if a := s.want(t, http.StatusUnprocessableEntity, "POST", rotate, `{"api_key":"`+s.key("5")+`"}`); !strings.Contains(a.text(), "did not pass the test (key_refused)") || !strings.Contains(a.text(), "body.api_key") {
			t.Errorf("got %s", a.body)
		}
		if s.tried.Load() != tried+1 {
			t.Error("the control: a key that could be stored was not tried")
		}
		if after := s.dump(t); after != before {
			t.Errorf("the database changed:\n%s", cmp.Diff(before, after))
		}
	})
}

// A provider is tried before it is added by whoever may add it, and nothing of it stays.
func TestAProviderIsTriedBeforeItIsAdded(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "p", "1")
		refused := client.KeyTest{Class: "key_refused", Status: 401, Message: "refused"}
		fn := func(string, string) client.KeyTest { return refused }
		mayNot := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf("ai_provider:read", "ai_provider:update", "ai_provider_key:read")})
		may := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf("ai_provider:read", "ai_provider:create", "ai_provider_key:read", "ai_provider_key:create")})
		before, tried := s.dump(t), s.tried.Load()
		body := func(name, more string) string {
			return `{"type":"openai","name":"` + name + `","base_url":"` + vendor + `"` + more + `}`
		}
		keys := `,"api_keys":["` + s.key("2") + `","` + s.key("3") + `"]`
		a := s.want(t, http.StatusOK, "POST", providers+"/test", body("new", keys))
		if got := decode[client.ProviderTest](t, a); !got.OK || len(got.Keys) != 2 || s.tried.Load() != tried+2 {
			t.Errorf("with two keys: %+v", got)
		}
		if got := decode[client.ProviderTest](t, s.want(t, http.StatusOK, "POST", providers+"/test", body("new", ""))); !got.OK || len(got.Keys) != 1 {
			t.Errorf("without keys: %+v", got)
		}
		s.test.Store(&fn)
		if got := decode[client.ProviderTest](t, s.want(t, http.StatusOK, "POST", providers+"/test", body("new", keys))); got.OK || got.Keys[0].Class != "key_refused" {
			t.Errorf("with keys that are refused: %+v", got)
		}
		tried = s.tried.Load()
		refusal(t, mayNot.call(t, "POST", providers+"/test", body("new", keys)), http.StatusForbidden)
		for name, b := range map[string]string{
			"a key twice":           body("new", `,"api_keys":["`+s.key("2")+`","`+s.key("2")+`"]`),
			"what is no URL":        `{"type":"openai","name":"new","base_url":"ftp://example.org"}`,
			"a metadata address":    `{"type":"openai","name":"new","base_url":"http://169.254.169.254/v1"}`,
			"settings of elsewhere": body("new", `,"settings":{"_type":"nobody","_version":1}`),
		} {
			if a := s.call(t, "POST", providers+"/test", b); a.status != http.StatusUnprocessableEntity && a.status != http.StatusConflict {
				t.Errorf("%s: %d %s", name, a.status, a.text())
			}
		}
		s.want(t, http.StatusConflict, "POST", providers+"/test", body("p", keys))
		if s.tried.Load() != tried {
			t.Error("what is refused was tried all the same")
		}
		may.want(t, http.StatusOK, "POST", providers+"/test", body("new", keys))
		s.want(t, http.StatusNotFound, "GET", providers+"/test", "")
		if after := s.dump(t); after != before {
			t.Errorf("the test changed the database:\n%s", cmp.Diff(before, after))
		}
	})
}
