package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehousehq/gatehouse/client"
)

// all lists the providers, deleted ones included, as name, id and whether they
// are deleted.
func all(t *testing.T, s *server) (out []string) {
	t.Helper()
	for _, p := range decode[client.Page[client.Provider]](t, s.want(t, http.StatusOK, "GET", providers+"?include_deleted=true", "")).Items {
		out = append(out, fmt.Sprint(p.Name, " ", p.ID, " ", p.Deleted))
	}
	return out
}

func TestRestoreBringsBackADisabledProviderWithoutSecrets(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.want(t, http.StatusCreated, "POST", providers, `{"type":"openai","name":"p","display_name":"P","base_url":"`+vendor+`",
			"settings":{"_type":"openai","_version":1,"organization":"o"},"api_keys":["`+s.key("1")+`"]}`)
		want := get(t, s, "p")
		s.want(t, http.StatusNoContent, "DELETE", providers+"/p", "")
		path := providers + "/" + want.ID
		gone := s.want(t, http.StatusOK, "GET", path+"?include_deleted=true", "")
		if p := decode[client.Provider](t, gone); !p.Deleted || p.Enabled || len(p.APIKeys) != 0 || string(p.Settings) != "null" {
			t.Errorf("the deleted provider is %+v", p)
		}
		before := s.generation(t)
		a := s.want(t, http.StatusOK, "POST", path+"/restore", "", header{"If-Match", gone.header.Get("ETag")})
		got := decode[client.Provider](t, a)
		want.Enabled, want.APIKeys, want.Settings, want.Revision = false, []client.ProviderKey{}, []byte("null"), got.Revision
		if diff := cmp.Diff(got, want, cmpopts.IgnoreFields(client.Provider{}, "UpdatedAt")); diff != "" {
			t.Errorf("restored (-got +want):\n%s", diff)
		}
		if etag := a.header.Get("ETag"); etag != fmt.Sprintf(`"%d"`, got.Revision) || etag == gone.header.Get("ETag") {
			t.Errorf("got ETag %s", etag)
		}
		if s.generation(t) == before {
			t.Error("no replica hears of it")
		}
		if diff := cmp.Diff(get(t, s, "p"), got); diff != "" {
			t.Errorf("the answer is not what is stored:\n%s", diff)
		}
		// It is a provider like any other.
		s.want(t, http.StatusCreated, "POST", providers+"/p/keys", `{"api_key":"`+s.key("1")+`"}`)
		s.want(t, http.StatusOK, "PATCH", path, `{"enabled":true}`)
	})
}

func TestTwoDeletedProvidersOfOneName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		first, second := s.deleted(t, "p"), s.deleted(t, "p")
		third := s.provider(t, "p")
		path := func(p client.Provider, verb string) string { return providers + "/" + p.ID + "/" + verb }
		refusal(t, s.call(t, "POST", path(first, "restore"), ""), http.StatusConflict)
		refusal(t, s.call(t, "POST", path(third, "purge"), ""), http.StatusConflict)
		s.want(t, http.StatusNoContent, "DELETE", providers+"/p", "")
		s.want(t, http.StatusOK, "POST", path(second, "restore"), "")
		refusal(t, s.call(t, "POST", path(second, "restore"), ""), http.StatusConflict)
		refusal(t, s.call(t, "POST", path(first, "restore"), ""), http.StatusConflict)
		s.want(t, http.StatusNoContent, "POST", path(first, "purge"), "")
		refusal(t, s.call(t, "POST", path(first, "purge"), ""), http.StatusNotFound)
		refusal(t, s.call(t, "POST", path(first, "restore"), ""), http.StatusNotFound)
		refusal(t, s.call(t, "GET", providers+"/"+first.ID+"?include_deleted=true", ""), http.StatusNotFound)
		want := []string{"p " + second.ID + " false", "p " + third.ID + " true"}
		if diff := cmp.Diff(all(t, s), want); diff != "" {
			t.Errorf("left (-got +want):\n%s", diff)
		}
	})
}

// Of a provider that somebody restored and deleted again in the meantime, an old
// page must not purge the row.
func TestPurgeOfAnotherRevisionIsStale(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.deleted(t, "p")
		path := providers + "/" + p.ID
		s.want(t, http.StatusOK, "POST", path+"/restore", "")
		s.want(t, http.StatusNoContent, "DELETE", path, "")
		got := refusal(t, s.call(t, "POST", path+"/purge", "", header{"If-Match", fmt.Sprintf(`"%d"`, p.Revision)}), http.StatusPreconditionFailed)
		now := s.want(t, http.StatusOK, "GET", path+"?include_deleted=true", "")
		if diff := cmp.Diff(decode[client.Provider](t, answer{body: got.Current}), decode[client.Provider](t, now)); diff != "" {
			t.Errorf("412 has not the current provider (-got +want):\n%s", diff)
		}
		s.want(t, http.StatusNoContent, "POST", path+"/purge", "", header{"If-Match", now.header.Get("ETag")})
	})
}
