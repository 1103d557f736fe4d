package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) providerCommand() *cobra.Command {
	return group("provider", "Manage where AI traffic goes",
		a.providerAdd(), a.providerList(), a.providerShow(), a.providerEdit(), a.providerTest(),
		a.providerSwitch(true), a.providerSwitch(false), a.providerRemove(), a.providerRestore(), a.providerPurge())
}

func (a *app) providerList() *cobra.Command {
	var deleted bool
	cmd := needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the providers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if deleted {
				return a.listDeleted(cmd)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := collect(c.Providers(cmd.Context()))
			if err != nil {
				return err
			}
			if len(all) == 0 && a.output == "table" {
				say(cmd, `There are no providers yet. Add one: gatehouse provider add --preset openai`)
				return nil
			}
			return a.print(cmd, all, func(w io.Writer) {
				row(w, "NAME", "TYPE", "ENABLED", "KEYS", "BASE URL")
				for _, p := range all {
					row(w, p.Name, string(p.Type), yesNo(p.Enabled), keysCell(p), p.BaseURL)
				}
			})
		},
	}, "ai_provider:read", "ai_provider_key:read")
	cmd.Flags().BoolVar(&deleted, "deleted", false, "list those that were removed instead, with the ids by which to restore or purge them")
	return cmd
}

// keysCell says how the keys of a provider are, and whether it is served at all.
func keysCell(p client.Provider) string {
	if p.Fault != "" {
		return keySummary(p.APIKeys) + " (not served: " + p.Fault + ")"
	}
	return keySummary(p.APIKeys)
}

// keySummary counts keys by their states: "3 ready", "1 ready, 2 cooling".
func keySummary(keys []client.ProviderKey) string {
	count := map[client.KeyState]int{}
	for _, k := range keys {
		count[k.State]++
	}
	var parts []string
	for _, s := range []client.KeyState{
		client.KeyReady, client.KeyCooling, client.KeyFailed, client.KeyDisabled, client.KeyExpired, client.KeyUnreadable,
	} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (a *app) providerShow() *cobra.Command {
	return needs(&cobra.Command{
		Use: "show PROVIDER", Short: "Show a provider and its keys", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.provider(cmd, args[0])
			if err != nil {
				return err
			}
			return a.print(cmd, p, func(w io.Writer) {
				row(w, "Name", p.Name)
				row(w, "Display name", deref(p.DisplayName))
				row(w, "ID", p.ID)
				row(w, "Type", string(p.Type))
				row(w, "Enabled", yesNo(p.Enabled))
				if p.Fault != "" {
					row(w, "Not served", p.Fault)
				}
				row(w, "Base URL", p.BaseURL)
				row(w, "Settings", settingsCell(p))
				row(w, "Strategy", p.Strategy)
				row(w, "Revision", fmt.Sprint(p.Revision))
				row(w, "Created", a.when(&p.CreatedAt))
				row(w, "Changed", a.when(&p.UpdatedAt))
				row(w, "Clients use", strings.Join(clientLines(c.URL(), p), " "))
				_, _ = fmt.Fprintln(w) // Flush returns the error
				a.keyRows(w, p.APIKeys)
			})
		},
	}, "ai_provider:read", "ai_provider_key:read")
}

func settingsCell(p client.Provider) string {
	if string(p.Settings) == "null" {
		return ""
	}
	return string(p.Settings)
}

// clientLines returns what to set in a client of the provider.
func clientLines(server string, p client.Provider) []string {
	switch p.Type {
	case client.Anthropic:
		return []string{"ANTHROPIC_BASE_URL=" + server + "/ai/" + p.Name}
	case client.Gemini:
		return []string{"GOOGLE_GEMINI_BASE_URL=" + server + "/ai/" + p.Name}
	case client.OpenAI:
	}
	return []string{"OPENAI_BASE_URL=" + server + "/ai/" + p.Name + "/v1"}
}

// providerSwitch is the command that enables or disables a provider.
func (a *app) providerSwitch(on bool) *cobra.Command {
	verb, short := "disable", "Stop sending traffic to a provider"
	if on {
		verb, short = "enable", "Send traffic to a provider again"
	}
	return needs(&cobra.Command{
		Use: verb + " PROVIDER", Short: short, Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.provider(cmd, args[0])
			if err != nil {
				return err
			}
			p, err = c.UpdateProvider(cmd.Context(), p.ID, p.Revision, client.UpdateProvider{Enabled: &on})
			if err != nil {
				return err
			}
			say(cmd, "Provider %s is %sd.", p.Name, verb)
			return a.printIfJSON(cmd, p)
		},
	}, "ai_provider:read", "ai_provider:update", "ai_provider_key:read")
}

// printIfJSON writes v for a program that reads it. A person has been told
// already.
func (a *app) printIfJSON(cmd *cobra.Command, v any) error {
	return a.print(cmd, v, func(io.Writer) {})
}

func (a *app) providerRemove() *cobra.Command {
	var yes bool
	cmd := needs(&cobra.Command{
		Use: "remove PROVIDER", Aliases: []string{"rm"}, Short: "Remove a provider and its keys", Args: cobra.ExactArgs(1),
		Long: `Remove a provider, its keys and its settings. What is left is a row for history:
"gatehouse provider list --deleted" shows it, "gatehouse provider restore" brings
it back without keys and settings, and "gatehouse provider purge" removes it.`,
		ValidArgsFunction: a.completeProvider,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.provider(cmd, args[0])
			if err != nil {
				return err
			}
			question := fmt.Sprintf("Remove provider %s and its %s? Its keys and settings cannot be brought back.", p.Name, plural(len(p.APIKeys), "key", "keys"))
			if err := confirm(cmd, yes, question); err != nil {
				return err
			}
			if err := c.DeleteProvider(cmd.Context(), p.ID, p.Revision); err != nil {
				return err
			}
			say(cmd, "Provider %s is removed.", p.Name)
			return nil
		},
	}, "ai_provider:read", "ai_provider:delete", "ai_provider_key:read", "ai_provider_key:delete")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
