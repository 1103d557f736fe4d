package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) userCommand() *cobra.Command {
	return group("user", "Manage users", a.userCreate(), a.userList(), a.userShow(), a.userUpdate(),
		a.userSwitch("disable", "Refuse all tokens of a user", true), a.userSwitch("enable", "Take the tokens of a user again", false), a.userDelete(),
		a.userPassword(), a.userSessions(), a.userEndSession())
}

func (a *app) userCreate() *cobra.Command {
	var roles []string
	cmd := needs(&cobra.Command{
		Use: "create NAME", Aliases: []string{"add"}, Short: "Add a user", Args: cobra.ExactArgs(1),
		Long: `Add a user. Their roles can grant no more than you may do yourself; by default
they are a member, who uses the gateway.`,
		Example: `  gatehouse user create ada --role member --role auditor
  gatehouse token create laptop --owner ada`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			u, err := c.CreateUser(cmd.Context(), client.CreateUser{Name: args[0], Roles: roles})
			if err != nil {
				return err
			}
			say(cmd, "User %s is added, with %s. Next, a token for them:\n  gatehouse token create NAME --owner %s", u.Name, rolesText(u.Roles), u.Name)
			return a.printIfJSON(cmd, u)
		},
	}, "user:create")
	cmd.Flags().StringSliceVar(&roles, "role", []string{"member"}, "a `role` they have; give the flag once for each")
	completeWith(cmd, "role", a.completeRoles)
	return cmd
}

func rolesText(roles []string) string {
	switch len(roles) {
	case 0:
		return "no role"
	case 1:
		return "the role " + roles[0]
	}
	return "the roles " + strings.Join(roles, ", ")
}

func (a *app) userList() *cobra.Command {
	return needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the users", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := collect(c.Users(cmd.Context()))
			if err != nil {
				return err
			}
			return a.print(cmd, all, func(w io.Writer) {
				row(w, "NAME", "ROLES", "STATE", "ADDED", "USER ID")
				for _, u := range all {
					state := "enabled"
					if u.Disabled {
						state = "disabled"
					}
					row(w, u.Name, strings.Join(u.Roles, ","), state, a.when(&u.CreatedAt), u.ID)
				}
			})
		},
	}, "user:read")
}

func (a *app) userShow() *cobra.Command {
	return needs(&cobra.Command{
		Use: "show USER", Short: "Show a user and their tokens", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			u, err := c.User(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.printIfJSON(cmd, u)
			}
			theirs, err := collect(c.TokensOf(cmd.Context(), u.ID))
			if err != nil {
				return err
			}
			return a.print(cmd, u, func(w io.Writer) {
				row(w, "Name", u.Name)
				row(w, "ID", u.ID)
				row(w, "Roles", strings.Join(u.Roles, ", "))
				row(w, "Disabled", yesNo(u.Disabled))
				row(w, "Added", a.when(&u.CreatedAt))
				row(w, "Changed", a.when(&u.UpdatedAt))
				_, _ = fmt.Fprintln(w) // Flush returns the error
				a.tokenRows(w, theirs)
			})
		},
	}, "user:read", "api_key:read")
}

func (a *app) userUpdate() *cobra.Command {
	var name string
	var roles []string
	cmd := needs(&cobra.Command{
		Use: "update USER", Short: "Change the name or the roles of a user", Args: cobra.ExactArgs(1),
		Long: `Change the name or the roles of a user, by name or id. The roles that are given
are all that they have from then on. It is in force at once for all their tokens.`,
		Example:           `  gatehouse user update ada --role auditor --role member`,
		ValidArgsFunction: a.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			var req client.UpdateUser
			if cmd.Flags().Changed("name") {
				req.Name = client.Set(name)
			}
			if cmd.Flags().Changed("role") {
				req.Roles = client.Set(append([]string{}, roles...))
			}
			if req.Name.IsZero() && req.Roles.IsZero() {
				return usagef("give --name, --role or both: there is nothing to change")
			}
			return a.updateUser(cmd, args[0], req)
		},
	}, "user:update")
	cmd.Flags().StringVar(&name, "name", "", "another `name`")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "a `role` they are to have; give the flag once for each, or once empty for none")
	completeWith(cmd, "role", a.completeRoles)
	return cmd
}

func (a *app) userSwitch(verb, short string, disabled bool) *cobra.Command {
	return needs(&cobra.Command{
		Use: verb + " USER", Short: short, Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.updateUser(cmd, args[0], client.UpdateUser{Disabled: client.Set(disabled)})
		},
	}, "user:update")
}

func (a *app) updateUser(cmd *cobra.Command, ref string, req client.UpdateUser) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	u, err := c.UpdateUser(cmd.Context(), ref, req)
	if err != nil {
		return err
	}
	state := "enabled"
	if u.Disabled {
		state = "disabled: their tokens are refused"
	}
	say(cmd, "User %s has %s, and is %s.", u.Name, rolesText(u.Roles), state)
	return a.printIfJSON(cmd, u)
}

func (a *app) userDelete() *cobra.Command {
	var yes bool
	cmd := needs(&cobra.Command{
		Use: "delete USER", Aliases: []string{"remove", "rm"}, Short: "Delete a user and revoke their tokens", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			u, err := c.User(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, fmt.Sprintf("Delete user %s and revoke all their tokens? It cannot be undone; gatehouse user disable can.", u.Name)); err != nil {
				return err
			}
			if err := c.DeleteUser(cmd.Context(), u.ID); err != nil {
				return err
			}
			say(cmd, "User %s is deleted, and their tokens are revoked.", u.Name)
			return nil
		},
	}, "user:read", "user:delete", "api_key:read", "api_key:delete")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show whose token is used, and what it may do", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			me, err := c.Me(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(cmd, me, func(w io.Writer) {
				row(w, "USER", "TOKEN", "MAY")
				row(w, me.Name, me.TokenName, orNothing(strings.Join(me.Permissions, ", ")))
			})
		},
	}
}
