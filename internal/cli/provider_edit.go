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

A base URL with another scheme, host or port demands the API keys again, so that
no key goes where it was not meant to. They replace the ones there are.`,
		Example: `  gatehouse provider edit openai --display-name "OpenAI, team account"
  gatehouse provider edit local --base-url http://127.0.0.1:9001/v1 --api-key-file keys.txt`,
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			var req client.UpdateProvider
			if f.Changed("display-name") {
				req.DisplayName = client.Set(displayName)
				if displayName == "" {
					req.DisplayName = client.Null[string]()
				}
			}
			if f.Changed("settings") {
				req.Settings = client.Null[json.RawMessage]()
				if settings != "" {
					doc, err := readSettings(settings)
					if err != nil {
						return err
					}
					req.Settings = client.Set(doc)
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
			return a.editProvider(cmd, args[0], req, keys)
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

func (a *app) editProvider(cmd *cobra.Command, name string, req client.UpdateProvider, keys keySource) error {
	c, p, err := a.provider(cmd, name)
	if err != nil {
		return err
	}
	moves := req.BaseURL != nil && origin.Of(*req.BaseURL) != "" && origin.Of(*req.BaseURL) != origin.Of(p.BaseURL)
	if keys.given() && !moves {
		return usagef(`keys are only demanded again when the scheme, host or port of --base-url changes; to add one use "gatehouse key add"`)
	}
	if moves && (keys.given() || len(p.APIKeys) > 0) {
		again, err := keys.read(cmd, "The host changes. API key for "+p.Name+" at the new one")
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
