package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

// A preset is what there is to know of a well-known provider to add it.
type preset struct {
	Name     string              `json:"name"`
	Type     client.ProviderType `json:"type"`
	BaseURL  string              `json:"base_url"`
	NeedsKey bool                `json:"needs_key"`
	KeysAt   string              `json:"keys_at"` // where to get a key; "" for software of one's own
}

// presets returns every preset: services in order of their names, then
// software that runs on this machine.
func presets() []preset {
	return []preset{
		{"anthropic", client.Anthropic, "https://api.anthropic.com", true, "https://console.anthropic.com/settings/keys"},
		{"cerebras", client.OpenAI, "https://api.cerebras.ai/v1", true, "https://cloud.cerebras.ai"},
		{"deepseek", client.OpenAI, "https://api.deepseek.com/v1", true, "https://platform.deepseek.com/api_keys"},
		{"fireworks", client.OpenAI, "https://api.fireworks.ai/inference/v1", true, "https://app.fireworks.ai/settings/users/api-keys"},
		{"gemini", client.Gemini, "https://generativelanguage.googleapis.com", true, "https://aistudio.google.com/apikey"},
		{"gemini-openai", client.OpenAI, "https://generativelanguage.googleapis.com/v1beta/openai", true, "https://aistudio.google.com/apikey"},
		{"groq", client.OpenAI, "https://api.groq.com/openai/v1", true, "https://console.groq.com/keys"},
		{"mistral", client.OpenAI, "https://api.mistral.ai/v1", true, "https://console.mistral.ai/api-keys"},
		{"openai", client.OpenAI, "https://api.openai.com/v1", true, "https://platform.openai.com/api-keys"},
		{"openrouter", client.OpenAI, "https://openrouter.ai/api/v1", true, "https://openrouter.ai/keys"},
		{"together", client.OpenAI, "https://api.together.xyz/v1", true, "https://api.together.xyz/settings/api-keys"},
		{"xai", client.OpenAI, "https://api.x.ai/v1", true, "https://console.x.ai"},
		{"llama-cpp", client.OpenAI, "http://127.0.0.1:8080/v1", false, ""},
		{"lm-studio", client.OpenAI, "http://127.0.0.1:1234/v1", false, ""},
		{"ollama", client.OpenAI, "http://127.0.0.1:11434/v1", false, ""},
		{"vllm", client.OpenAI, "http://127.0.0.1:8000/v1", false, ""},
	}
}

func findPreset(name string) (preset, bool) {
	all := presets()
	i := slices.IndexFunc(all, func(p preset) bool { return p.Name == name })
	if i < 0 {
		return preset{}, false
	}
	return all[i], true
}

func presetNames() []string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.Name)
	}
	return names
}

func (a *app) listPresets(cmd *cobra.Command) error {
	return a.print(cmd, presets(), func(w io.Writer) {
		row(w, "PRESET", "TYPE", "BASE URL", "KEYS")
		for _, p := range presets() {
			keys := p.KeysAt
			if !p.NeedsKey {
				keys = "none needed"
			}
			row(w, p.Name, string(p.Type), p.BaseURL, keys)
		}
	})
}

func unknownPreset() error {
	return usagef("there is no such preset; there are %s", strings.Join(presetNames(), ", "))
}
