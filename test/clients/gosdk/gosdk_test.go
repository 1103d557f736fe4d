// Package gosdk drives a Gatehouse with the vendors' own Go SDKs. It is a module
// of its own, so that the product does not depend on them.
//
// The tests need a Gatehouse with the mock upstream behind it, as the test in the
// folder above sets it up; GATEHOUSE_URL and GATEHOUSE_TOKEN say where it is and
// what opens it. Its providers are openai and anthropic, which answer, and
// slow-openai and slow-anthropic, which begin to answer a stream and stop. The
// SDKs repeat nothing by themselves: what goes on after a failure is Gatehouse's
// doing.
package gosdk_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
)

const (
	openAIModel    = "mock-gpt"
	embeddingModel = "mock-embedding"
	claudeModel    = "mock-claude"

	said = "hello, gatehouse"
	echo = "This is the Gatehouse mock upstream. You said: " + said
	// echoTokens is what the answer costs.
	echoTokens = 10

	// badToken was never given out.
	badToken = "gate_thisIsNotATokenThatAnybodyWasEverGiven"
)

// gatehouse returns where Gatehouse is and what opens it.
func gatehouse(t *testing.T) (url, token string) {
	t.Helper()
	url, token = os.Getenv("GATEHOUSE_URL"), os.Getenv("GATEHOUSE_TOKEN")
	if url == "" || token == "" {
		t.Skip("GATEHOUSE_URL and GATEHOUSE_TOKEN do not say where a Gatehouse is")
	}
	return strings.TrimRight(url, "/"), token
}

// openAI returns a client of the provider of that name. A token of "" is the
// right one.
func openAI(t *testing.T, provider, token string) openai.Client {
	t.Helper()
	url, good := gatehouse(t)
	if token == "" {
		token = good
	}
	return openai.NewClient(openaioption.WithBaseURL(url+"/ai/"+provider+"/v1"), openaioption.WithAPIKey(token), openaioption.WithMaxRetries(0))
}

// claude is the same for Anthropic's API.
func claude(t *testing.T, provider, token string) anthropic.Client {
	t.Helper()
	url, good := gatehouse(t)
	if token == "" {
		token = good
	}
	return anthropic.NewClient(anthropicoption.WithBaseURL(url+"/ai/"+provider), anthropicoption.WithAPIKey(token), anthropicoption.WithMaxRetries(0))
}

var requestID = regexp.MustCompile(`^[0-9a-f-]{36}$`)

// checkHeaders holds for every answer that comes from a provider.
func checkHeaders(t *testing.T, res *http.Response, vendorRequestID string) {
	t.Helper()
	checkOwn(t, res)
	if !strings.HasPrefix(res.Header.Get(vendorRequestID), "req_") {
		t.Errorf("the vendor's %s does not pass", vendorRequestID)
	}
	for _, name := range []string{"Set-Cookie", "Openai-Organization", "Openai-Project", "Anthropic-Organization-Id"} {
		if res.Header.Get(name) != "" {
			t.Errorf("%s comes back", name)
		}
	}
}

// checkOwn holds for every answer, also for those that Gatehouse gives itself.
func checkOwn(t *testing.T, res *http.Response) {
	t.Helper()
	if !requestID.MatchString(res.Header.Get("X-Gatehouse-Request-Id")) {
		t.Error("the answer has no x-gatehouse-request-id")
	}
}
