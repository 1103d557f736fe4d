package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Manage the tokens that people and tools present", a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

func (a *app) tokenCreate() *cobra.Command {
	var scopes, providers, models []string
	var expires, owner string
	var rpm, concurrency int64
	cmd := needs(&cobra.Command{
		Use: "create NAME", Short: "Create a token", Args: cobra.ExactArgs(1),
		Long: `Create a token, of your own or of a user whom you manage, and print it, this once.
It may do what its scopes say and no more than you may; by default, use the
gateway.`,
		Example: `  T=$(gatehouse token create ci --expires 30d)
  gatehouse token create laptop --provider openai --model 'gpt-*'
  gatehouse token create laptop --owner ada
  gatehouse token create intern --rpm 60 --concurrency 4
  gatehouse token create terraform --scope 'ai_provider:*' --scope 'ai_provider_key:*'`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := client.CreateToken{Name: args[0], Scopes: scopes, Providers: providers, Models: models, Owner: owner, RPM: rpm, Concurrency: concurrency}
			var err error
			if req.ExpiresAt, err = parseExpiry(expires, a.now()); err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			t, err := c.CreateToken(cmd.Context(), req)
			if err != nil {
				return err
			}
			say(cmd, "Token %s is created; its id is %s. It may: %s. It expires: %s.\nThis is the only time it is shown. To revoke it: gatehouse token revoke %s",
				t.Name, t.ID, strings.Join(t.Scopes, ", "), orNever(a.when(t.ExpiresAt)), t.ID)
			return a.print(cmd, t, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, t.Secret) // Flush returns the error
			})
		},
	}, "api_key:create")
	f := cmd.Flags()
	f.StringSliceVar(&scopes, "scope", []string{"gateway:use"}, "what it may do: a `scope`; give the flag once for each")
	f.StringSliceVar(&providers, "provider", nil, "a `provider` it may use (default any)")
	f.StringSliceVar(&models, "model", nil, "a `model` it may use, * at the end for any ending (default any)")
	f.StringVar(&expires, "expires", "", "stop taking it after this `span`, such as 30d, or at this RFC 3339 time (default never)")
	f.Int64Var(&rpm, "rpm", 0, "how many `requests` it may send in a minute, to each replica (default any number)")
	f.Int64Var(&concurrency, "concurrency", 0, "how many `requests` it may have under way at a time, at each replica (default any number)")
	f.StringVar(&owner, "owner", "", "the `user` whose it is to be (default you)")
	completeWith(cmd, "provider", a.completeProviders)
	completeWith(cmd, "owner", a.completeUsers)
	return cmd
}

func orNever(s string) string {
	if s == "" {
		return "never"
	}
	return s
}

func (a *app) tokenList() *cobra.Command {
	var owner string
	cmd := needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all := []client.Token{}
			tokens := c.Tokens(cmd.Context())
			if owner != "" {
				tokens = c.TokensOf(cmd.Context(), owner)
			}
			for t, err := range tokens {
				if err != nil {
					return err
				}
				all = append(all, t)
			}
			return a.print(cmd, all, func(w io.Writer) { a.tokenRows(w, all) })
		},
	}, "api_key:read")
	cmd.Flags().StringVar(&owner, "owner", "", "those of this `user`")
	completeWith(cmd, "owner", a.completeUsers)
	return cmd
}

func (a *app) tokenRows(w io.Writer, tokens []client.Token) {
	row(w, "TOKEN ID", "NAME", "OWNER", "SCOPES", "PROVIDERS", "MODELS", "LIMITS", "LAST USED", "EXPIRES")
	for _, t := range tokens {
		row(w, t.ID, t.Name, t.Owner, strings.Join(t.Scopes, ","), orAny(t.Providers), orAny(t.Models), limitsCell(t),
			a.when(t.LastUsedAt), orNever(a.when(t.ExpiresAt)))
	}
}

// limitsCell says how much a token may ask: "60/min, 4 at a time".
func limitsCell(t client.Token) string {
	var parts []string
	if t.RPM > 0 {
		parts = append(parts, fmt.Sprintf("%d/min", t.RPM))
	}
	if t.Concurrency > 0 {
		parts = append(parts, fmt.Sprintf("%d at a time", t.Concurrency))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func orAny(list []string) string {
	if list == nil {
		return "any"
	}
	return strings.Join(list, ",")
}

func (a *app) tokenRevoke() *cobra.Command {
	return needs(&cobra.Command{
		Use: "revoke TOKEN", Short: "Revoke a token", Args: cobra.ExactArgs(1),
		Long: `Revoke a token, at once and for good. TOKEN is its id, or a name that no other
token has. It does not ask: a leaked token cannot wait.`,
		ValidArgsFunction: a.completeToken,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var found []client.Token
			for t, err := range c.Tokens(cmd.Context()) {
				if err != nil {
					return err
				}
				if t.ID == args[0] {
					found = []client.Token{t}
					break
				}
				if t.Name == args[0] {
					found = append(found, t)
				}
			}
			if len(found) != 1 {
				reason := "no token has that id or name" // it may be the token itself that was given
				if len(found) > 1 {
					reason = fmt.Sprintf("%d tokens have that name: give the id of one", len(found))
				}
				return &failure{exitFailed, reason, []string{`See "gatehouse token list".`}}
			}
			if err := c.DeleteToken(cmd.Context(), found[0].ID); err != nil {
				return err
			}
			say(cmd, "Token %s (%s) is revoked.", found[0].Name, found[0].ID)
			return nil
		},
	}, "api_key:read", "api_key:delete")
}
