package mockazure_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockazure"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// What is not asked in Azure's way is not answered.
func TestRequestsAreHeldToAzuresForm(t *testing.T) {
	t.Parallel()
	keys := []secret.Text{secret.New("k-good"), secret.New("k-limited")}
	behind := mockupstream.New(mockupstream.Config{Keys: map[secret.Text]mockupstream.Key{
		keys[0]: {}, keys[1]: {Behaviour: mockupstream.RateLimited},
	}})
	dated := &mockazure.Azure{Behind: behind, Version: "2024-10-21", Keys: keys}
	v1 := &mockazure.Azure{Behind: behind, Keys: keys}
	const deployed = "/openai/deployments/gpt-x/chat/completions"
	for _, tc := range []struct {
		name          string
		azure         *mockazure.Azure
		target, key   string
		authorization string
		status        int
		says          string
	}{
		{"dated", dated, deployed + "?api-version=2024-10-21", "k-good", "", 200, "You said: hi"},
		{"v1", v1, "/openai/v1/chat/completions", "k-good", "", 200, "You said: hi"},
		{"another version", dated, deployed + "?api-version=2023-05-15", "k-good", "", 404, "Resource not found"},
		{"no version", dated, deployed, "k-good", "", 404, "Resource not found"},
		{"a version at v1", v1, "/openai/v1/chat/completions?api-version=2024-10-21", "k-good", "", 404, "Resource not found"},
		{"another deployment", dated, "/openai/deployments/other/chat/completions?api-version=2024-10-21", "k-good", "", 404, "Resource not found"},
		{"a key that is not known", v1, "/openai/v1/chat/completions", "k-bad", "", 401, "Access denied"},
		{"another credential besides", v1, "/openai/v1/chat/completions", "k-good", "Bearer k-good", 401, "Access denied"},
		{"a limited key", v1, "/openai/v1/chat/completions", "k-limited", "", 429, `"code":"429"`},
	} {
		r := httptest.NewRequest(http.MethodPost, tc.target, strings.NewReader(`{"model":"gpt-x","messages":[{"role":"user","content":"hi"}]}`))
		r.Header.Set("Api-Key", tc.key)
		if tc.authorization != "" {
			r.Header.Set("Authorization", tc.authorization)
		}
		w := httptest.NewRecorder()
		tc.azure.ServeHTTP(w, r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.says) {
			t.Errorf("%s: got %d %s", tc.name, w.Code, w.Body)
		}
	}
}
