package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/origin"
)

func (a *app) providerEdit() *cobra.Command {
	var displayName, baseURL, strategy, settings string
	var keys keySource
	cmd := needs(&cobra.Command{
		Use: "edit PROVIDER", Short: "Change a provider", Args: cobra.ExactArgs(1),
		Long: `Change a provider. What no flag names stays as it is; an empty --display-name or
--settings clears it.

A base URL with another scheme, host or port, and settings with another proxy or
other certificates, demand the API keys again, so that no key goes where it was
not meant to. They replace the ones there are.`,
		Example: `  gatehouse provider edit openai --display-name "OpenAI, team account"
  gatehouse provider edit local --base-url http://127.0.0.1:9001/v1 --api-key-file keys.txt
  gatehouse provider edit openai --settings @openai.json`,
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			var req client.UpdateProvider
			var document json.RawMessage
			if f.Changed("display-name") {
				req.DisplayName = client.Set(displayName)
				if displayName == "" {
					req.DisplayName = client.Null[string]()
				}
			}
			if f.Changed("settings") {
				req.Settings = client.Null[json.RawMessage]()
				if settings != "" {
					var err error
					if document, err = readSettings(settings); err != nil {
						return err
					}
					req.Settings = client.Set(document)
				}
			}
			if f.Changed("base-url") {
				req.BaseURL = &baseURL
			}
			if f.Changed("strategy") {
				req.Strategy = &strategy
			}
			if req.DisplayName.IsZero() && req.Settings.IsZero() && req.BaseURL == nil && req.Strategy == nil && !keys.given() {
				return usagef("there is nothing to change: give a flag that says what")
			}
			return a.editProvider(cmd, args[0], req, document, keys)
		},
	}, "ai_provider:read", "ai_provider:update", "ai_provider_key:read")
	f := cmd.Flags()
	f.StringVar(&displayName, "display-name", "", "a `name` for people; empty clears it")
	f.StringVar(&baseURL, "base-url", "", "where it is: a `URL`")
	f.StringVar(&strategy, "strategy", "", "how the first key to try is chosen: `in_order`, weighted or least_loaded")
	f.StringVar(&settings, "settings", "", "settings `document`: a JSON object, or @ and the name of a file with one; empty clears it")
	keys.flags(cmd)
	complete(cmd, "strategy", strategies...)
	return cmd
}

// editProvider sends the change. document is the settings in it, nil for none.
func (a *app) editProvider(cmd *cobra.Command, name string, req client.UpdateProvider, document json.RawMessage, keys keySource) error {
	c, p, err := a.provider(cmd, name)
	if err != nil {
		return err
	}
	var why string
	switch {
	case req.BaseURL != nil && origin.Of(*req.BaseURL) != "" && origin.Of(*req.BaseURL) != origin.Of(p.BaseURL):
		why = "The host changes. API key for " + p.Name + " at the new one"
	case redirects(document, p.Settings):
		why = "The proxy or the certificates change. API key for " + p.Name
	case keys.given():
		return usagef(`keys are only demanded again when the scheme, host or port of --base-url changes, or the proxy or the certificates in --settings; to add one use "gatehouse key add"`)
	}
	if why != "" && (keys.given() || len(p.APIKeys) > 0) {
		again, err := keys.read(cmd, why)
		if err != nil {
			return err
		}
		req.APIKeys = []client.KeepOrAdd{}
		for _, k := range again {
			req.APIKeys = append(req.APIKeys, client.KeepOrAdd{APIKey: k.Reveal()})
		}
	}
	p, err = c.UpdateProvider(cmd.Context(), p.ID, p.Revision, req)
	if err != nil {
		return err
	}
	say(cmd, "Provider %s is changed.", p.Name)
	return a.printIfJSON(cmd, p)
}

// redirects reports whether the new settings have another proxy or other
// certificates than those before, for which the server demands the keys again.
func redirects(document, before json.RawMessage) bool {
	type reach struct {
		Proxy string `json:"proxy"`
		CA    string `json:"ca"`
	}
	var next, was reach
	if json.Unmarshal(document, &next) != nil {
		return false // there is none, or one that the server refuses
	}
	if json.Unmarshal(before, &was) != nil {
		was = reach{}
	}
	return next.Proxy != "" && next.Proxy != was.Proxy || next.CA != "" && next.CA != was.CA
}
