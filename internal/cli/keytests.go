package cli

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) providerTest() *cobra.Command {
	return needs(&cobra.Command{
		Use: "test PROVIDER", Short: "Try every key of a provider", Args: cobra.ExactArgs(1),
		Long: `Try every key of a provider, those that are switched off among them, by listing
its models, and say what came of it. The exit code is 1 if a key that is switched
on is not accepted. A key that is refused is left out by the gateway at once, and
one that is accepted again is used at once.`,
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := c.TestProvider(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			err = a.print(cmd, t, func(w io.Writer) {
				row(w, "KEY ID", "LABEL", "HINT", "OK", "STATUS", "TOOK", "RESULT")
				for _, k := range t.Keys {
					row(w, k.KeyID, k.Label, k.Hint, yesNo(k.OK), statusCell(k.Status), (time.Duration(k.LatencyMS) * time.Millisecond).String(), k.Message)
				}
			})
			if err != nil || t.OK {
				return err
			}
			advice := "To put another in its place: gatehouse key rotate " + args[0] + " KEY"
			if !slices.ContainsFunc(t.Keys, func(k client.KeyTest) bool { return !k.OK && k.Status != 0 }) { // nobody was asked about a key
				advice = "To change where the provider is: gatehouse provider edit " + args[0] + " --base-url URL"
			}
			return &failure{exitFailed, "a key did not pass", []string{advice}}
		},
	}, "ai_provider:read", "ai_provider:update", "ai_provider_key:read")
}

func statusCell(status int64) string {
	if status == 0 {
		return ""
	}
	return fmt.Sprint(status)
}

func (a *app) keyRotate() *cobra.Command {
	var source keySource
	var skipTest bool
	var drain time.Duration
	cmd := needs(&cobra.Command{
		Use: "rotate PROVIDER KEY", Short: "Put another key in the place of one", Args: cobra.ExactArgs(2),
		Long: `Put another key in the place of one, with no failed request: the new key is tried
first, and if the provider does not accept it nothing changes. Then it takes the
position, weight and label of the old one, which gets no more requests and is
removed when those under way are over.

KEY is the id of the old key, or a label or hint that no other key of the provider
has. The new one is asked for on the terminal, or read from a file, standard input
or a variable. Revoke the old one at the provider afterwards.`,
		Example:           `  gatehouse key rotate openai main --api-key-env NEW_OPENAI_KEY`,
		ValidArgsFunction: a.completeKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.provider(cmd, args[0])
			if err != nil {
				return err
			}
			old, err := findKey(p, args[1])
			if err != nil {
				return err
			}
			keys, err := source.read(cmd, "New API key for "+p.Name)
			if err != nil {
				return err
			}
			if len(keys) != 1 {
				return usagef("one key takes the place of one, and there are %d", len(keys))
			}
			r, err := c.RotateKey(cmd.Context(), p.ID, old.ID, p.Revision, client.RotateKey{
				APIKey: keys[0].Reveal(), SkipTest: skipTest, DrainSeconds: new(int64(drain / time.Second)),
			})
			if err != nil {
				return err
			}
			say(cmd, "Key %s of %s is in the place of %s, which is removed.", r.Key.ID, p.Name, r.Replaced)
			if r.Drained {
				say(cmd, "No request uses the old key any more: revoke it at the provider.")
			} else {
				say(cmd, "gatehouse: warning: requests with the old key may still be under way: revoke it at the provider when they are over.")
			}
			return a.printIfJSON(cmd, r)
		},
	}, "ai_provider:read", "ai_provider:update", "ai_provider_key:create", "ai_provider_key:update", "ai_provider_key:delete", "ai_provider_key:read")
	f := cmd.Flags()
	f.BoolVar(&skipTest, "no-test", false, "do not try the new key: for a provider that has no list of models")
	f.DurationVar(&drain, "drain", 30*time.Second, "how long to wait for requests with the old key, at most 5m")
	source.flags(cmd)
	return cmd
}
