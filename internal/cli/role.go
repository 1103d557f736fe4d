package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) roleCommand() *cobra.Command {
	return group("role", "Manage roles", a.roleCreate(), a.roleList(), a.roleShow(), a.roleUpdate(), a.roleDelete())
}

func (a *app) roleCreate() *cobra.Command {
	var req client.CreateRole
	cmd := needs(&cobra.Command{
		Use: "create NAME", Aliases: []string{"add"}, Short: "Make a role", Args: cobra.ExactArgs(1),
		Long: `Make a role, which can grant no more than you may do yourself. A permission is
RESOURCE:ACTION; with :own behind it, it holds for one's own records only.`,
		Example: `  gatehouse role create key-keeper --description "Rotates keys" \
    --permission ai_provider:read --permission ai_provider_key:create --permission ai_provider_key:delete`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			req.Name = args[0]
			r, err := c.CreateRole(cmd.Context(), req)
			if err != nil {
				return err
			}
			say(cmd, "Role %s is made. To give it: gatehouse user update USER --role %s", r.Name, r.Name)
			return a.printIfJSON(cmd, r)
		},
	}, "role:create")
	cmd.Flags().StringSliceVar(&req.Permissions, "permission", nil, "a `permission` it grants; give the flag once for each")
	cmd.Flags().StringVar(&req.Description, "description", "", "what it is for, in a few `words`")
	return cmd
}

func (a *app) roleList() *cobra.Command {
	return needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the roles, built in and made", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := collect(c.Roles(cmd.Context()))
			if err != nil {
				return err
			}
			return a.print(cmd, all, func(w io.Writer) {
				row(w, "ROLE", "BUILT IN", "DESCRIPTION", "GRANTS")
				for _, r := range all {
					builtIn := "no"
					if r.BuiltIn {
						builtIn = "yes"
					}
					row(w, r.Name, builtIn, r.Description, strings.Join(r.Permissions, ", "))
				}
			})
		},
	}, "role:read")
}

func (a *app) roleShow() *cobra.Command {
	return needs(&cobra.Command{
		Use: "show ROLE", Short: "Show what a role grants", Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeRoles(cmd, args, prefix)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.Role(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(cmd, r, func(w io.Writer) {
				row(w, "Name", r.Name)
				row(w, "Description", r.Description)
				row(w, "Built in", yesNo(r.BuiltIn))
				if !r.BuiltIn {
					row(w, "ID", deref(r.ID))
					row(w, "Made", a.when(r.CreatedAt))
					row(w, "Changed", a.when(r.UpdatedAt))
				}
				for i, p := range r.Permissions {
					row(w, map[bool]string{true: "Grants", false: " "}[i == 0], p)
				}
			})
		},
	}, "role:read")
}

func (a *app) roleUpdate() *cobra.Command {
	var description string
	var permissions []string
	cmd := needs(&cobra.Command{
		Use: "update ROLE", Short: "Change what a role grants", Args: cobra.ExactArgs(1),
		Long: `Change the description of a role, or what it grants: the permissions that are
given are all that it grants from then on, for everybody who has it.`,
		ValidArgsFunction: a.completeRole,
		RunE: func(cmd *cobra.Command, args []string) error {
			var req client.UpdateRole
			if cmd.Flags().Changed("description") {
				req.Description = client.Set(description)
			}
			if cmd.Flags().Changed("permission") {
				req.Permissions = client.Set(permissions)
			}
			if req.Description.IsZero() && req.Permissions.IsZero() {
				return usagef("give --permission, --description or both: there is nothing to change")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.UpdateRole(cmd.Context(), args[0], req)
			if err != nil {
				return err
			}
			say(cmd, "Role %s grants: %s.", r.Name, strings.Join(r.Permissions, ", "))
			return a.printIfJSON(cmd, r)
		},
	}, "role:update")
	cmd.Flags().StringSliceVar(&permissions, "permission", nil, "a `permission` it is to grant; give the flag once for each")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, in a few `words`")
	return cmd
}

func (a *app) roleDelete() *cobra.Command {
	var yes bool
	cmd := needs(&cobra.Command{
		Use: "delete ROLE", Aliases: []string{"remove", "rm"}, Short: "Delete a role that nobody has", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRole,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.Role(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, fmt.Sprintf("Delete role %s? It cannot be brought back.", r.Name)); err != nil {
				return err
			}
			if err := c.DeleteRole(cmd.Context(), r.Name); err != nil {
				return err
			}
			say(cmd, "Role %s is deleted.", r.Name)
			return nil
		},
	}, "role:read", "role:delete")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
