package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) routeCommand() *cobra.Command {
	return group("route", "Manage models of your own naming, with fallbacks",
		a.routeAdd(), a.routeList(), a.routeShow(), a.routeEdit(), a.routeSwitch(true), a.routeSwitch(false), a.routeRemove())
}

const targetForm = `A target is PROVIDER/MODEL, with @WEIGHT behind it for its share of the requests
where the route is weighted. What is before the first slash is the provider.`

func (a *app) routeAdd() *cobra.Command {
	var description string
	var targets []string
	var weighted bool
	cmd := needs(&cobra.Command{
		Use: "add NAME", Aliases: []string{"create"}, Short: "Add a route", Args: cobra.ExactArgs(1),
		Long: `Add a route: clients ask for it as their model, and get the first of its targets
that can serve them.

` + targetForm,
		Example: `  gatehouse route add fast --target anthropic/claude-haiku-4-5 --target bedrock/claude-haiku-4-5
  gatehouse route add split --weighted --target openai/gpt-5@3 --target azure/gpt-5@1`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := client.CreateRoute{Name: args[0]}
			var err error
			if req.Targets, err = parseTargets(targets); err != nil {
				return err
			}
			if len(targets) == 0 {
				return usagef("give --target PROVIDER/MODEL at least once")
			}
			if description != "" {
				req.Description = &description
			}
			if weighted {
				req.Strategy = "weighted"
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.CreateRoute(cmd.Context(), req)
			if err != nil {
				return err
			}
			say(cmd, "Route %s is there. Clients ask for it as model %q:\n%s", r.Name, r.Name, strings.Join(routeLines(c.URL()), "\n"))
			return a.printIfJSON(cmd, r)
		},
	}, "ai_route:create", "ai_provider:read")
	cmd.Flags().StringArrayVar(&targets, "target", nil, "a `target`, PROVIDER/MODEL[@WEIGHT]; give the flag once for each, in failover order")
	cmd.Flags().BoolVar(&weighted, "weighted", false, "choose the first target by weight, not by order")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, in a few `words`")
	completeWith(cmd, "target", a.completeTarget)
	return cmd
}

// routeLines returns what to set in a client that uses routes.
func routeLines(server string) []string {
	return []string{"  OPENAI_BASE_URL=" + server + "/ai/v1", "  ANTHROPIC_BASE_URL=" + server + "/ai"}
}

// maxWeight is the largest weight of a target.
const maxWeight = 1000

// parseTargets reads PROVIDER/MODEL[@WEIGHT].
func parseTargets(list []string) ([]client.NewTarget, error) {
	var out []client.NewTarget
	for _, s := range list {
		provider, model, ok := strings.Cut(s, "/")
		if !ok || provider == "" || model == "" {
			return nil, usagef("%q is no target: it is PROVIDER/MODEL, or PROVIDER/MODEL@WEIGHT", s)
		}
		t := client.NewTarget{Provider: provider, Model: model}
		if i := strings.LastIndexByte(model, '@'); i > 0 {
			// What is more than a weight can be is the date of a model.
			if w, err := strconv.ParseInt(model[i+1:], 10, 64); err == nil && w <= maxWeight {
				t.Model, t.Weight = model[:i], &w
			}
		}
		out = append(out, t)
	}
	return out, nil
}

func (a *app) completeTarget(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.completeProviders(cmd, args, prefix)
	for i := range names {
		names[i] += "/"
	}
	return names, directive | cobra.ShellCompDirectiveNoSpace
}

func (a *app) routeList() *cobra.Command {
	return needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the routes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := collect(c.Routes(cmd.Context()))
			if err != nil {
				return err
			}
			if len(all) == 0 && a.output == "table" {
				say(cmd, `There are no routes yet. Add one: gatehouse route add NAME --target PROVIDER/MODEL`)
				return nil
			}
			return a.print(cmd, all, func(w io.Writer) {
				row(w, "ROUTE", "ENABLED", "STRATEGY", "TARGETS")
				for _, r := range all {
					targets := make([]string, len(r.Targets))
					for i, t := range r.Targets {
						targets[i] = targetCell(r, t)
					}
					row(w, r.Name, yesNo(r.Enabled), r.Strategy, strings.Join(targets, ", "))
				}
			})
		},
	}, "ai_route:read")
}

// targetCell is a target as it is given to --target, and what keeps it from being
// used.
func targetCell(r client.Route, t client.RouteTarget) string {
	s := t.Provider + "/" + t.Model
	if r.Strategy == "weighted" {
		s += fmt.Sprintf("@%d", t.Weight)
	}
	switch t.State {
	case client.TargetReady:
		return s
	case client.TargetDisabled:
		return s + " (provider disabled)"
	case client.TargetDeleted:
		return s + " (provider deleted)"
	}
	return s + " (provider not served)"
}

func (a *app) routeShow() *cobra.Command {
	return needs(&cobra.Command{
		Use: "show ROUTE", Short: "Show a route and its targets", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRoute,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.Route(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(cmd, r, func(w io.Writer) {
				row(w, "Name", r.Name)
				row(w, "Description", deref(r.Description))
				row(w, "ID", r.ID)
				row(w, "Enabled", yesNo(r.Enabled))
				row(w, "Strategy", r.Strategy)
				row(w, "Revision", fmt.Sprint(r.Revision))
				row(w, "Created", a.when(&r.CreatedAt))
				row(w, "Changed", a.when(&r.UpdatedAt))
				for i, t := range r.Targets {
					row(w, map[bool]string{true: "Targets", false: " "}[i == 0], targetCell(r, t))
				}
			})
		},
	}, "ai_route:read")
}

func (a *app) routeEdit() *cobra.Command {
	var description, strategy string
	var targets []string
	cmd := needs(&cobra.Command{
		Use: "edit ROUTE", Aliases: []string{"update"}, Short: "Change a route", Args: cobra.ExactArgs(1),
		Long: `Change a route. What no flag names stays as it is; the targets that are given are
all that it has from then on. Requests under way go on as they began.

` + targetForm,
		ValidArgsFunction: a.completeRoute,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			var req client.UpdateRoute
			if f.Changed("description") {
				req.Description = client.Set(description)
				if description == "" {
					req.Description = client.Null[string]()
				}
			}
			if f.Changed("strategy") {
				req.Strategy = &strategy
			}
			if f.Changed("target") {
				var err error
				if req.Targets, err = parseTargets(targets); err != nil {
					return err
				}
			}
			if req.Description.IsZero() && req.Strategy == nil && req.Targets == nil {
				return usagef("there is nothing to change: give a flag that says what")
			}
			return a.changeRoute(cmd, args[0], req, "changed")
		},
	}, "ai_route:read", "ai_route:update", "ai_provider:read")
	cmd.Flags().StringArrayVar(&targets, "target", nil, "a `target`, PROVIDER/MODEL[@WEIGHT]; give the flag once for each, in failover order")
	cmd.Flags().StringVar(&strategy, "strategy", "", "how the first target to try is chosen: `in_order` or weighted")
	cmd.Flags().StringVar(&description, "description", "", "what it is for, in a few `words`; empty clears it")
	complete(cmd, "strategy", "in_order", "weighted")
	completeWith(cmd, "target", a.completeTarget)
	return cmd
}

// routeSwitch is the command that enables or disables a route.
func (a *app) routeSwitch(on bool) *cobra.Command {
	verb, short := "disable", "Stop serving a route"
	if on {
		verb, short = "enable", "Serve a route again"
	}
	return needs(&cobra.Command{
		Use: verb + " ROUTE", Short: short, Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRoute,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeRoute(cmd, args[0], client.UpdateRoute{Enabled: &on}, verb+"d")
		},
	}, "ai_route:read", "ai_route:update")
}

func (a *app) changeRoute(cmd *cobra.Command, name string, req client.UpdateRoute, done string) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	r, err := c.Route(cmd.Context(), name)
	if err != nil {
		return err
	}
	// A provider that is gone is kept by its id: its name may be another's by now.
	for i, t := range req.Targets {
		for _, have := range r.Targets {
			if t.Provider == have.Provider && have.State == client.TargetDeleted {
				req.Targets[i].Provider = have.ProviderID
			}
		}
	}
	if r, err = c.UpdateRoute(cmd.Context(), r.ID, r.Revision, req); err != nil {
		return err
	}
	say(cmd, "Route %s is %s.", r.Name, done)
	return a.printIfJSON(cmd, r)
}

func (a *app) routeRemove() *cobra.Command {
	var yes bool
	cmd := needs(&cobra.Command{
		Use: "remove ROUTE", Aliases: []string{"rm", "delete"}, Short: "Remove a route", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRoute,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.Route(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := confirm(cmd, yes, fmt.Sprintf("Remove route %s? Clients that ask for it will be refused.", r.Name)); err != nil {
				return err
			}
			if err := c.DeleteRoute(cmd.Context(), r.ID, r.Revision); err != nil {
				return err
			}
			say(cmd, "Route %s is removed.", r.Name)
			return nil
		},
	}, "ai_route:read", "ai_route:delete")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// completeRoute suggests the name of a route as the first argument.
func (a *app) completeRoute(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return suggest(a, cmd, (*client.Client).Routes, func(r client.Route) string { return r.Name }), cobra.ShellCompDirectiveNoFileComp
}
