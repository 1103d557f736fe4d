package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

// listDeleted lists the providers that were removed.
func (a *app) listDeleted(cmd *cobra.Command) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	gone := []client.Provider{}
	for p, err := range c.Providers(cmd.Context(), client.IncludeDeleted()) {
		if err != nil {
			return err
		}
		if p.Deleted {
			gone = append(gone, p)
		}
	}
	if len(gone) == 0 && a.output == "table" {
		say(cmd, "No provider was removed, or all that were are purged.")
		return nil
	}
	return a.print(cmd, gone, func(w io.Writer) {
		row(w, "ID", "NAME", "TYPE", "REMOVED", "BASE URL")
		for _, p := range gone {
			row(w, p.ID, p.Name, string(p.Type), a.when(&p.UpdatedAt), p.BaseURL) // nothing changes it but its restoration
		}
	})
}

func (a *app) providerRestore() *cobra.Command {
	return needs(&cobra.Command{
		Use: "restore ID", Short: "Bring back a provider that was removed", Args: cobra.ExactArgs(1),
		Long: `Bring back a provider that was removed, disabled and without keys and settings.
Its name must not be another's by now.`,
		ValidArgsFunction: a.completeDeleted,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.deletedProvider(cmd, args[0])
			if err != nil {
				return err
			}
			if p, err = c.RestoreProvider(cmd.Context(), p.ID, p.Revision); err != nil {
				return err
			}
			say(cmd, "Provider %s is back, disabled and without keys. Next:\n  gatehouse key add %s\n  gatehouse provider enable %s", p.Name, p.Name, p.Name)
			return a.printIfJSON(cmd, p)
		},
	}, "ai_provider:read", "ai_provider:update", "ai_provider_key:read")
}

func (a *app) providerPurge() *cobra.Command {
	var yes bool
	cmd := needs(&cobra.Command{
		Use: "purge ID", Short: "Remove for good a provider that was removed", Args: cobra.ExactArgs(1),
		Long: `Remove for good a provider that was removed, so that it cannot be restored. What
the audit log has about it stays.`,
		ValidArgsFunction: a.completeDeleted,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, p, err := a.deletedProvider(cmd, args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, fmt.Sprintf("Remove provider %s (%s) for good?", p.Name, p.ID)); err != nil {
				return err
			}
			if err := c.PurgeProvider(cmd.Context(), p.ID, p.Revision); err != nil {
				return err
			}
			say(cmd, "Provider %s is removed for good.", p.Name)
			return nil
		},
	}, "ai_provider:read", "ai_provider:delete", "ai_provider_key:read")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// deletedProvider connects and returns the deleted provider of that id.
func (a *app) deletedProvider(cmd *cobra.Command, id string) (*client.Client, client.Provider, error) {
	c, err := a.connect()
	if err != nil {
		return nil, client.Provider{}, err
	}
	p, err := c.Provider(cmd.Context(), id, client.IncludeDeleted())
	if err == nil && !p.Deleted {
		err = &failure{exitFailed, "provider " + p.Name + " was not removed", []string{`To remove it: gatehouse provider remove ` + p.Name}}
	}
	return c, p, err
}
