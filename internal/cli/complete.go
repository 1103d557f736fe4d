package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

// completeWithin is how long a shell waits for names from the server. Whatever
// goes wrong, there are no suggestions: a completion has nowhere to say why.
const completeWithin = 2 * time.Second

type completion = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective)

// complete suggests fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	completeWith(cmd, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func completeWith(cmd *cobra.Command, flag string, f completion) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag is not there, or has one: any test finds it
	}
}

// completeProvider suggests the name of a provider as the first argument.
func (a *app) completeProvider(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeProviders(cmd, args, prefix)
}

// completeProviders suggests the names of providers.
func (a *app) completeProviders(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if c, err := a.connect(); err == nil {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		for p, err := range c.Providers(ctx) {
			if err != nil {
				break
			}
			names = append(names, p.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeDeleted suggests the id of a deleted provider.
func (a *app) completeDeleted(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if c, err := a.connect(); err == nil && len(args) == 0 {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		for p, err := range c.Providers(ctx, client.IncludeDeleted()) {
			if err != nil {
				break
			}
			if p.Deleted {
				ids = append(ids, cobra.CompletionWithDesc(p.ID, p.Name))
			}
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// completeKey suggests a provider, then one of its keys.
func (a *app) completeKey(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeProvider(cmd, args, prefix)
	}
	var ids []string
	if c, err := a.connect(); err == nil {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		for k, err := range c.Keys(ctx, args[0]) {
			if err != nil {
				break
			}
			ids = append(ids, cobra.CompletionWithDesc(k.ID, printable(keyName(k))))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// completeToken suggests the id of a token.
func (a *app) completeToken(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if c, err := a.connect(); err == nil && len(args) == 0 {
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
		defer cancel()
		for t, err := range c.Tokens(ctx) {
			if err != nil {
				break
			}
			ids = append(ids, cobra.CompletionWithDesc(t.ID, printable(t.Name)))
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
