package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "Read who changed what", a.auditList())
}

func (a *app) auditList() *cobra.Command {
	var limit int
	cmd := needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the audit log, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit must be at least 1")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			entries := []client.AuditEntry{}
			for e, err := range c.Audit(cmd.Context()) {
				if err != nil {
					return err
				}
				entries = append(entries, e)
				if len(entries) == limit {
					break
				}
			}
			return a.print(cmd, entries, func(w io.Writer) {
				row(w, "TIME", "WHO", "ACTION", "RESOURCE", "TARGET", "CHANGES")
				for _, e := range entries {
					row(w, e.Time.Local().Format(time.DateTime), actorCell(e.Actor), e.Action,
						strings.ReplaceAll(e.ResourceType, "_", " "), e.Target, changes(e))
				}
			})
		},
	}, "audit_log:read")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most this `number` of entries")
	return cmd
}

func actorCell(actor client.AuditActor) string {
	if actor.TokenName != "" {
		return actor.Name + " (token " + actor.TokenName + ")"
	}
	return actor.Name
}

// changes puts a diff in words, field by field: "name ci" for what is new, "name
// was ci" for what is removed, "enabled true → false", "api_key changed
// (secret)".
func changes(e client.AuditEntry) string {
	var fields map[string]struct {
		Old, New json.RawMessage
		Secret   bool
	}
	if json.Unmarshal(e.Diff, &fields) != nil {
		return string(e.Diff) // in a form that this program does not know: as it is
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		before, after := valueText(f.Old), valueText(f.New)
		switch {
		case f.Secret:
			parts = append(parts, fmt.Sprintf("%s %s (secret)", name, cmp.Or(map[string]string{"create": "set", "delete": "removed"}[e.Action], "changed")))
		case before == "":
			parts = append(parts, name+" "+after)
		case after == "" && e.Action == "delete":
			parts = append(parts, name+" was "+before)
		default:
			parts = append(parts, fmt.Sprintf("%s %s → %s", name, before, orNothing(after)))
		}
	}
	return strings.Join(parts, ", ")
}

// valueText returns a value of a diff without the quotes of JSON, and "" for
// one that is not there.
func valueText(v json.RawMessage) string {
	var s *string
	if json.Unmarshal(v, &s) == nil {
		return deref(s)
	}
	return string(v)
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
