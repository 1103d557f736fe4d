package cli

import (
	"context"
	"iter"
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

// completeUser suggests the name of a user as the first argument.
func (a *app) completeUser(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeUsers(cmd, args, prefix)
}

// completeUsers suggests the names of users.
func (a *app) completeUsers(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return suggest(a, cmd, (*client.Client).Users, func(u client.User) string { return u.Name }), cobra.ShellCompDirectiveNoFileComp
}

// completeRole suggests the name of a role that can be changed as the first
// argument.
func (a *app) completeRole(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	made := func(r client.Role) string {
		if r.BuiltIn {
			return ""
		}
		return r.Name
	}
	return suggest(a, cmd, (*client.Client).Roles, made), cobra.ShellCompDirectiveNoFileComp
}

// completeRoles suggests the names of roles.
func (a *app) completeRoles(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return suggest(a, cmd, (*client.Client).Roles, func(r client.Role) string { return r.Name }), cobra.ShellCompDirectiveNoFileComp
}

// suggest returns the names of what a list has, as many as come in time. One
// without a name is left out.
func suggest[T any](a *app, cmd *cobra.Command, list func(*client.Client, context.Context) iter.Seq2[T, error], name func(T) string) (names []string) {
	c, err := a.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	for item, err := range list(c, ctx) {
		if err != nil {
			break
		}
		if n := name(item); n != "" {
			names = append(names, printable(n))
		}
	}
	return names
}
