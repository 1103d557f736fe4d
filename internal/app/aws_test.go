package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockbedrock"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A provider on Bedrock is served with the server's own credentials, as a role, and
// says so where it cannot be.
func TestBedrockWithTheServersOwnCredentials(t *testing.T) {
	const (
		role = "arn:aws:iam::123456789012:role/claude"
		key  = "AKIACANARY0123456789:canary/secret+of/the/server"
	)
	sts := &mockbedrock.STS{Region: "eu-central-1", Keys: []secret.Text{secret.New(key)}, Roles: []string{role}}
	tokens := httptest.NewServer(sts)
	t.Cleanup(tokens.Close)
	amazon := httptest.NewServer(&mockbedrock.Bedrock{
		Behind: mockupstream.New(mockupstream.Config{Keys: map[secret.Text]mockupstream.Key{secret.New(goodKey): {Label: "role"}}}),
		Region: "eu-central-1", Sessions: sts, SessionKey: secret.New(goodKey),
	})
	t.Cleanup(amazon.Close)
	id, secretKey, _ := strings.Cut(key, ":")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "", "AWS_ENDPOINT_URL_STS": tokens.URL,
	} {
		t.Setenv(name, value)
	}
	r := start(t, dataDir(t))
	add := func(name, role string) {
		t.Helper()
		doc, err := json.Marshal(map[string]any{"_type": "bedrock", "_version": 1, "region": "eu-central-1", "ambient": true, "role_arn": role})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.owner.CreateProvider(t.Context(), client.CreateProvider{Type: client.Anthropic, Name: name, BaseURL: amazon.URL, Settings: doc}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(name string) (status int, body string) {
		t.Helper()
		return r.send(t, http.MethodPost, "/ai/"+name+"/v1/messages", `{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"hello there"}]}`)
	}
	add("claude", role)
	if status, body := ask("claude"); status != http.StatusOK || !strings.Contains(body, "hello") {
		t.Fatalf("got %d %s", status, body)
	}
	if p, err := r.owner.Provider(t.Context(), "claude"); err != nil || p.Fault != "" {
		t.Errorf("shown as %+v, %v", p, err)
	}
	add("nobody", role+"s")
	if status, body := ask("nobody"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no AWS credentials for this provider") {
		t.Errorf("got %d %s", status, body)
	}
	if p, err := r.owner.Provider(t.Context(), "nobody"); err != nil || !strings.Contains(p.Fault, "(AccessDenied): the role does not exist") {
		t.Errorf("shown as %+v, %v", p, err)
	}
	if _, page := r.send(t, http.MethodGet, "/metrics", ""); !strings.Contains(page, `gatehouse_aws_credentials{state="ready"} 1`) || !strings.Contains(page, `gatehouse_aws_credentials{state="missing"} 1`) {
		t.Errorf("the metrics: %s", page)
	}
	if log := r.log.String(); strings.Contains(log, secretKey) || strings.Contains(log, "FwoGZXIv") || strings.Contains(log, "secret/of+") {
		t.Errorf("the log shows a secret: %s", log)
	}
}

// send sends a request with the owner's token.
func (r *running) send(t *testing.T, method, path, body string) (status int, answer string) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(r.dir, "owner-token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: newTransport(t)}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
