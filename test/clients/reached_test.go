package clients_test

import (
	"fmt"
	"net/http"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockazure"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockbedrock"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A reached is a way in which a provider is reached that is not its vendor's own
// API. What stands in for the service checks signatures, credentials and paths.
type reached struct {
	// settings are those of the provider, and path is the path of its base URL.
	settings map[string]any
	path     string
	keyForm  string // "" is that of the vendors' own keys
	front    func(behind http.Handler, keys []secret.Text) http.Handler
}

const bedrockRegion = "eu-central-1"

func bedrock(path string) reached {
	return reached{
		settings: map[string]any{"_type": "bedrock", "_version": 1, "region": bedrockRegion}, path: path,
		keyForm: "AKIDSESSION%d:secret-of-a-session",
		front: func(behind http.Handler, keys []secret.Text) http.Handler {
			return &mockbedrock.Bedrock{Behind: behind, Region: bedrockRegion, Keys: keys}
		},
	}
}

func azure(version string) reached {
	r := reached{
		settings: map[string]any{"_type": "azure", "_version": 1}, path: "/openai/v1",
		front: func(behind http.Handler, keys []secret.Text) http.Handler {
			return &mockazure.Azure{Behind: behind, Version: version, Keys: keys}
		},
	}
	if version != "" {
		r.settings["api_version"], r.path = version, "/openai"
	}
	return r
}

var (
	bedrockNative = bedrock("/anthropic")
	bedrockInvoke = bedrock("")
	azureV1       = azure("")
	azureDated    = azure("2024-10-21")
)

// by returns the agent with a provider that is reached in that way.
func (a agent) by(way reached) agent {
	a.via = way
	return a
}

// key returns the text of a key.
func (r reached) key(vendor string, i int) string {
	if r.keyForm != "" {
		return fmt.Sprintf(r.keyForm, i)
	}
	return fmt.Sprintf("sk-mock-session-%s-%d", vendor, i)
}

// before returns what stands before the upstream.
func (r reached) before(up *mockupstream.Upstream, keys []secret.Text) http.Handler {
	if r.front == nil {
		return up
	}
	return r.front(up, keys)
}
