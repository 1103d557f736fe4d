package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

// strategies are those of the API.
var strategies = []string{"in_order", "weighted", "least_loaded"}

// testWithin is how long a new provider has to list its models.
const testWithin = 30 * time.Second

type addOptions struct {
	preset, kind, baseURL, displayName, strategy, settings string
	disabled, noKey, noTest, listPresets                   bool
	keys                                                   keySource
}

func (a *app) providerAdd() *cobra.Command {
	o := addOptions{keys: keySource{otherwise: ", or --no-key to add it without"}}
	cmd := needs(&cobra.Command{
		Use: "add [NAME]", Short: "Add a provider", Args: cobra.MaximumNArgs(1),
		Long: `Add a provider, from a preset or from its type and base URL, test it by listing
its models through the gateway, and print what to set in its clients.

NAME is what it is called in URLs and never changes; a preset brings one. The API
key is asked for on the terminal, or read from a file, standard input or a
variable. Several keys are tried in their order.`,
		Example: `  gatehouse provider add --preset openai
  gatehouse provider add claude --preset anthropic --api-key-env ANTHROPIC_API_KEY
  gatehouse provider add local --type openai --base-url http://127.0.0.1:9000/v1 --no-key`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.listPresets {
				return a.listPresets(cmd)
			}
			return a.addProvider(cmd, strings.Join(args, ""), o)
		},
	}, "ai_provider:create", "ai_provider:read", "ai_provider_key:create", "ai_provider_key:read")
	f := cmd.Flags()
	f.StringVar(&o.preset, "preset", "", "start from this `preset`")
	f.BoolVar(&o.listPresets, "list-presets", false, "list the presets and do nothing else")
	f.StringVar(&o.kind, "type", "", "the `API` that its clients speak: openai, anthropic or gemini")
	f.StringVar(&o.baseURL, "base-url", "", "where it is, as the vendor's SDK takes it: a `URL` with /v1 for openai, without a version for the others")
	f.StringVar(&o.displayName, "display-name", "", "a `name` for people")
	f.StringVar(&o.strategy, "strategy", "", "how the first key to try is chosen: `in_order`, weighted or least_loaded (default in_order)")
	f.StringVar(&o.settings, "settings", "", "settings `document`: a JSON object, or @ and the name of a file with one")
	f.BoolVar(&o.disabled, "disabled", false, "add it disabled")
	f.BoolVar(&o.noKey, "no-key", false, "add it without an API key")
	f.BoolVar(&o.noTest, "no-test", false, "do not test it")
	o.keys.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("preset", "type")
	for _, source := range []string{"api-key-file", "api-key-env"} {
		cmd.MarkFlagsMutuallyExclusive("no-key", source)
	}
	complete(cmd, "preset", presetNames()...)
	complete(cmd, "strategy", strategies...)
	complete(cmd, "type", string(client.OpenAI), string(client.Anthropic), string(client.Gemini))
	return cmd
}

func (a *app) addProvider(cmd *cobra.Command, name string, o addOptions) error {
	req, pre, err := o.request(name)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	if !o.noKey && (o.keys.given() || pre.NeedsKey) {
		prompt := "API key for " + req.Name
		if pre.KeysAt != "" {
			prompt += ", from " + pre.KeysAt
		}
		keys, err := o.keys.read(cmd, prompt)
		if err != nil {
			return err
		}
		for _, k := range keys {
			req.APIKeys = append(req.APIKeys, k.Reveal())
		}
	}
	p, err := c.CreateProvider(cmd.Context(), req)
	if err != nil {
		return err
	}
	say(cmd, "Provider %s is added, with %s.", p.Name, plural(len(p.APIKeys), "key", "keys"))
	if p.Enabled && !o.noTest {
		testProvider(cmd, c, p)
	}
	if a.output == "json" {
		return a.printIfJSON(cmd, p)
	}
	say(cmd, "Set this in its clients, and use your Gatehouse token as key:")
	for _, line := range clientLines(c.URL(), p) {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), "export "+printable(line)); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	return nil
}

// request returns the provider that the flags describe, without its keys.
func (o addOptions) request(name string) (client.CreateProvider, preset, error) {
	// A provider that no preset describes is asked for a key like most.
	pre := preset{Type: client.ProviderType(o.kind), NeedsKey: true}
	var req client.CreateProvider
	if o.preset != "" {
		var ok bool
		if pre, ok = findPreset(o.preset); !ok {
			return req, pre, unknownPreset()
		}
	}
	req.Name = cmp.Or(name, pre.Name)
	req.Strategy = o.strategy
	req.Type = pre.Type
	req.BaseURL = cmp.Or(o.baseURL, pre.BaseURL)
	switch {
	case req.Type == "" || req.BaseURL == "":
		return req, pre, usagef("say what to add: --preset, one of %s; or both --type and --base-url", strings.Join(presetNames(), ", "))
	case req.Name == "":
		return req, pre, usagef("give it a NAME")
	}
	if o.displayName != "" {
		req.DisplayName = &o.displayName
	}
	if o.disabled {
		req.Enabled = new(false)
	}
	if o.settings != "" {
		var err error
		if req.Settings, err = readSettings(o.settings); err != nil {
			return req, pre, err
		}
	}
	return req, pre, nil
}

// testProvider asks a new provider for its models, and says what came of it.
// The provider stands in any case.
func testProvider(cmd *cobra.Command, c *client.Client, p client.Provider) {
	ctx, cancel := context.WithTimeout(cmd.Context(), testWithin)
	defer cancel()
	models, err := c.Models(ctx, p.Name)
	switch {
	case err != nil:
		reason, advice := testAdvice(err, p)
		say(cmd, "gatehouse: warning: the test of %s failed: %s\n  %s", p.Name, reason, advice)
	case len(models) == 0:
		say(cmd, "Tested: it answers, and lists no models.")
	default:
		some := strings.Join(models[:min(3, len(models))], ", ")
		if len(models) > 3 {
			some += ", …"
		}
		say(cmd, "Tested: it answers, and lists %s: %s", plural(len(models), "model", "models"), some)
	}
}

// testAdvice returns why a test failed and what to do about it.
func testAdvice(err error, p client.Provider) (reason, advice string) {
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err.Error(), "The provider is stored. Ask it for its models later: GET /ai/" + p.Name + "/v1/models"
	}
	edit := "gatehouse provider edit " + p.Name + " --base-url URL"
	addKey := "gatehouse key add " + p.Name
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		advice = "The provider is stored. To test it the token needs the scope gateway:use."
	case http.StatusNotFound:
		advice = "Some providers have no list of models. Otherwise the base URL is wrong: " + edit
	case http.StatusTooManyRequests:
		advice = "Its keys are rate limited or out of quota. Wait, or add another: " + addKey
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusServiceUnavailable:
		advice = "Check the base URL and the key. To change them: " + edit + ", or " + addKey
	default:
		advice = "Check the base URL: " + edit
	}
	return e.Error(), advice
}
