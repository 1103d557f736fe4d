package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
)

func TestRefusalNamesTheFields(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	_, err := c.CreateProvider(t.Context(), client.CreateProvider{Type: client.OpenAI, Name: "openai", BaseURL: "ftp://" + canary})
	e := refusal(t, err, http.StatusUnprocessableEntity)
	want := []client.FieldError{{Location: "body.base_url", Message: "must be an absolute http or https URL"}}
	if diff := cmp.Diff(want, e.Errors); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if e.Title != "Unprocessable Entity" || e.Detail != "the request is not valid" {
		t.Errorf("got title %q and detail %q", e.Title, e.Detail)
	}
	if want := "the request is not valid (422); body.base_url: must be an absolute http or https URL"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// serve starts a server that answers everything in the same way, and returns
// its URL.
func serve(t *testing.T, status int, mediaType, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // a client that left does not hear it
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAnswersThatAreNotOfGatehouse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status          int
		mediaType, body string
		want            string
	}{
		"a proxy's error page":    {502, "text/html; charset=utf-8", "<h1>" + canary, "text/html"},
		"another program's page":  {200, "text/html", "<h1>" + canary, "check the server's URL"},
		"another program's JSON":  {500, "application/json", `{"code":"` + canary + `"}`, "check the server's URL"},
		"JSON of another shape":   {200, "application/json", `{"id":17,"name":"` + canary + `"}`, "check the server's URL"},
		"nothing at all":          {500, "", "", "something without a type"},
		"a redirect":              {307, "text/html", canary, "redirect"},
		"an error of the gateway": {403, "application/json", `{"error":{"message":"not this model"}}`, "not this model"},
		"a bare error message":    {400, "application/json", `{"error":"no such thing"}`, "no such thing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := connect(t, serve(t, tt.status, tt.mediaType, tt.body), "gate_x")
			_, err := c.Provider(t.Context(), "openai")
			refusal(t, err, tt.status)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want it to have %q", err, tt.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows the body")
			}
		})
	}
}

func TestARemovalIsNotTakenFromAnotherProgram(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t, http.StatusOK, "text/html", "<h1>hello"), "gate_x")
	refusal(t, c.DeleteToken(t.Context(), "id"), http.StatusOK)
}

func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	other, _ := start(t)
	s := httptest.NewServer(http.RedirectHandler(other.URL+"/api/v1/tokens", http.StatusTemporaryRedirect))
	t.Cleanup(s.Close)
	c := connect(t, s.URL, "gate_x")
	_, err := c.CreateToken(t.Context(), client.CreateToken{Name: "a", Scopes: []string{"all"}})
	refusal(t, err, http.StatusTemporaryRedirect)
	if n := len(other.Requests()); n != 0 {
		t.Errorf("the other server received %d requests, want none", n)
	}
}

func TestNoAnswerIsNotARefusal(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close() // nothing listens there now
	c := connect(t, s.URL, canary)
	_, err := c.ServerVersion(t.Context())
	if _, ok := errors.AsType[*client.Error](err); ok || err == nil || !strings.Contains(err.Error(), s.URL) {
		t.Errorf("got %v, want an error about reaching %s", err, s.URL)
	}
	if strings.Contains(fmt.Sprint(err), canary) {
		t.Error("the error shows the token")
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ServerVersion(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ url, token string }{
		"no URL":           {"", ""},
		"no scheme":        {canary + ":8090", ""},
		"another scheme":   {"ftp://" + canary, ""},
		"no host":          {"http:///" + canary, ""},
		"a user":           {"http://" + canary + "@h", ""},
		"a query":          {"http://h?" + canary, ""},
		"a fragment":       {"http://h#" + canary, ""},
		"not a URL":        {"http://h:" + canary, ""},
		"a line in token":  {"http://h", canary + "\nX: y"},
		"a space in token": {"http://h", canary + " "},
		"a letter outside": {"http://h", canary + "é"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.New(tt.url, tt.token)
			if err == nil {
				t.Fatal("it is taken")
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows what was given")
			}
		})
	}
}
