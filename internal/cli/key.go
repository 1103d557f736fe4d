package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) keyCommand() *cobra.Command {
	return group("key", "Manage the API keys of a provider", a.keyAdd(), a.keyEdit(), a.keyList(), a.keyRotate(), a.keyRemove())
}

func (a *app) keyList() *cobra.Command {
	return needs(&cobra.Command{
		Use: "list PROVIDER", Aliases: []string{"ls"}, Short: "List the keys of a provider, in failover order", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			keys, err := collect(c.Keys(cmd.Context(), args[0]))
			if err != nil {
				return err
			}
			if len(keys) == 0 && a.output == "table" {
				say(cmd, "It has no keys: requests go to it without one. Add one: gatehouse key add %s", args[0])
				return nil
			}
			return a.print(cmd, keys, func(w io.Writer) { a.keyRows(w, keys) })
		},
	}, "ai_provider:read", "ai_provider_key:read")
}

func (a *app) keyRows(w io.Writer, keys []client.ProviderKey) {
	row(w, "KEY ID", "LABEL", "HINT", "WEIGHT", "STATE", "LAST ERROR", "LAST USED", "EXPIRES")
	for _, k := range keys {
		row(w, k.ID, k.Label, k.Hint, fmt.Sprint(k.Weight), a.stateCell(k), a.errorCell(k.LastError), a.when(k.LastUsedAt), a.when(k.ExpiresAt))
	}
}

// stateCell says how a key is, and for how long if that will change.
func (a *app) stateCell(k client.ProviderKey) string {
	state := string(k.State)
	if k.StateUntil != nil {
		state = fmt.Sprintf("%s (%s) until %s", k.State, k.StateReason, a.when(k.StateUntil))
	}
	for i, l := range k.LimitedModels {
		if i == mostModels {
			return fmt.Sprintf("%s and %d more", state, len(k.LimitedModels)-i)
		}
		state += fmt.Sprintf("; rate limited for %s until %s", printable(l.Model), a.when(&l.Until))
	}
	return state
}

// mostModels is how many models a cell has.
const mostModels = 3

func (a *app) errorCell(e *client.KeyError) string {
	if e == nil {
		return ""
	}
	return fmt.Sprintf("%d %s, %s", e.Status, e.Reason, a.when(&e.Time))
}

func (a *app) keyAdd() *cobra.Command {
	var label, expires string
	var position, weight int64
	var disabled bool
	var source keySource
	cmd := needs(&cobra.Command{
		Use: "add PROVIDER", Short: "Add API keys to a provider", Args: cobra.ExactArgs(1),
		Long: `Add one or more API keys to a provider. They are asked for on the terminal, or
read from a file, standard input or a variable.`,
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := client.AddKey{Label: label, Disabled: disabled}
			var err error
			if req.ExpiresAt, err = parseExpiry(expires, a.now()); err != nil {
				return err
			}
			if cmd.Flags().Changed("position") {
				req.Position = &position
			}
			if cmd.Flags().Changed("weight") {
				req.Weight = &weight
			}
			return a.addKeys(cmd, args[0], req, source)
		},
	}, "ai_provider:read", "ai_provider_key:create", "ai_provider_key:read")
	f := cmd.Flags()
	f.StringVar(&label, "label", "", "a `name` for people")
	f.StringVar(&expires, "expires", "", "stop using it after this `span`, such as 30d, or at this RFC 3339 time")
	f.Int64Var(&position, "position", 0, "`place` in the failover order, lowest first (default last)")
	f.Int64Var(&weight, "weight", 1, "its `share` of the turns where the provider's strategy is weighted, from 0 to 1000")
	f.BoolVar(&disabled, "disabled", false, "add it disabled")
	source.flags(cmd)
	return cmd
}

func (a *app) addKeys(cmd *cobra.Command, provider string, req client.AddKey, source keySource) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	keys, err := source.read(cmd, "API key for "+provider)
	if err != nil {
		return err
	}
	if len(keys) > 1 && (req.Label != "" || req.Position != nil) {
		return usagef("--label and --position are for one key, and there are %d", len(keys))
	}
	added := []client.ProviderKey{}
	for i, k := range keys {
		req.APIKey = k.Reveal()
		key, err := c.CreateKey(cmd.Context(), provider, req)
		if err != nil {
			if i > 0 {
				say(cmd, "gatehouse: warning: %s of %d were added before one was refused", plural(i, "key", "keys"), len(keys))
			}
			return err
		}
		added = append(added, key)
		say(cmd, "Key %s is added to %s: %s.", key.ID, provider, key.State)
	}
	return a.printIfJSON(cmd, added)
}

func (a *app) keyEdit() *cobra.Command {
	var label, expires string
	var position, weight int64
	var disabled bool
	cmd := needs(&cobra.Command{
		Use: "edit PROVIDER KEY", Short: "Change a key of a provider", Args: cobra.ExactArgs(2),
		Long: `Change a key of a provider. What no flag names stays as it is; an empty --label
or --expires clears it. KEY is its id, or a label or hint that no other key of
the provider has. The key itself cannot be changed.`,
		Example: `  gatehouse key edit openai main --weight 3
  gatehouse key edit openai spare --disabled=false`,
		ValidArgsFunction: a.completeKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			var req client.UpdateKey
			if f.Changed("label") {
				req.Label = &label
			}
			if f.Changed("position") {
				req.Position = &position
			}
			if f.Changed("weight") {
				req.Weight = &weight
			}
			if f.Changed("disabled") {
				req.Disabled = &disabled
			}
			if f.Changed("expires") {
				at, err := parseExpiry(expires, a.now())
				if err != nil {
					return err
				}
				req.ExpiresAt = client.Null[time.Time]()
				if at != nil {
					req.ExpiresAt = client.Set(*at)
				}
			}
			if req == (client.UpdateKey{}) {
				return usagef("there is nothing to change: give a flag that says what")
			}
			c, p, err := a.provider(cmd, args[0])
			if err != nil {
				return err
			}
			k, err := findKey(p, args[1])
			if err != nil {
				return err
			}
			if k, err = c.UpdateKey(cmd.Context(), p.ID, k.ID, p.Revision, req); err != nil {
				return err
			}
			say(cmd, "Key %s of %s is changed.", k.ID, p.Name)
			return a.printIfJSON(cmd, k)
		},
	}, "ai_provider:read", "ai_provider_key:read", "ai_provider_key:update")
	f := cmd.Flags()
	f.StringVar(&label, "label", "", "a `name` for people; empty clears it")
	f.StringVar(&expires, "expires", "", "stop using it after this `span`, such as 30d, or at this RFC 3339 time; empty clears it")
	f.Int64Var(&position, "position", 0, "`place` in the failover order, lowest first")
	f.Int64Var(&weight, "weight", 1, "its `share` of the turns where the provider's strategy is weighted, from 0 to 1000")
	f.BoolVar(&disabled, "disabled", false, "switch it off; =false switches it on")
	return cmd
}

func (a *app) keyRemove() *cobra.Command {
	var yes bool
	cmd := needs(&cobra.Command{
		Use: "remove PROVIDER KEY", Aliases: []string{"rm"}, Short: "Remove a key of a provider", Args: cobra.ExactArgs(2),
		Long:              "Remove a key of a provider. KEY is its id, or a label or hint that no other key of the provider has.",
		ValidArgsFunction: a.completeKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.provider(cmd, args[0])
			if err != nil {
				return err
			}
			k, err := findKey(p, args[1])
			if err != nil {
				return err
			}
			question := fmt.Sprintf("Remove key %s (%s) of %s, one of %d? It cannot be brought back.", k.ID, keyName(k), p.Name, len(p.APIKeys))
			if err := confirm(cmd, yes, question); err != nil {
				return err
			}
			if err := c.DeleteKey(cmd.Context(), p.ID, k.ID, p.Revision); err != nil {
				return err
			}
			say(cmd, "Key %s of %s is removed.", k.ID, p.Name)
			return nil
		},
	}, "ai_provider:read", "ai_provider_key:delete", "ai_provider_key:read")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func keyName(k client.ProviderKey) string {
	switch {
	case k.Label != "":
		return k.Label
	case k.Hint != "":
		return k.Hint
	}
	return "no label"
}

// findKey returns the key of p that ref means. It does not repeat ref, which
// may be the key itself.
func findKey(p client.Provider, ref string) (client.ProviderKey, error) {
	see := []string{`See "gatehouse key list ` + p.Name + `".`}
	var found []client.ProviderKey
	for _, k := range p.APIKeys {
		if k.ID == ref {
			return k, nil
		}
		if ref != "" && (k.Label == ref || k.Hint == ref) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 0:
		return client.ProviderKey{}, &failure{exitFailed, "no key of " + p.Name + " has that id, label or hint", see}
	case 1:
		return found[0], nil
	}
	return client.ProviderKey{}, &failure{exitFailed, fmt.Sprintf("%d keys of %s have that label or hint: give the id of one", len(found), p.Name), see}
}
