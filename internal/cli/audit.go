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
	return group("audit", "Read who changed what, and prove it", a.auditList(), a.auditExport(), a.auditCheckpoint())
}

// filterFlags defines the flags that select audit entries. What they say is
// known once the command runs.
func (a *app) filterFlags(cmd *cobra.Command) func() (client.AuditFilter, error) {
	var f client.AuditFilter
	var since, until string
	flags := cmd.Flags()
	flags.StringVar(&f.Resource, "resource", "", "entries about this `kind` of resource, such as ai_provider")
	flags.StringVar(&f.Action, "action", "", "entries of this `action`, such as delete or denied")
	flags.StringVar(&f.Actor, "actor", "", "entries of this `user`, by name or id, or part of the system")
	flags.StringVar(&since, "since", "", "entries from this `time` on: RFC 3339, or a span before now, such as 7d")
	flags.StringVar(&until, "until", "", "entries from before this `time`")
	flags.StringVar(&f.Text, "match", "", "entries whose actor, target, resource id or request id begins with this `text`")
	return func() (client.AuditFilter, error) {
		var err error
		if f.Since, err = parseMoment("since", since, a.now()); err != nil {
			return f, err
		}
		f.Until, err = parseMoment("until", until, a.now())
		return f, err
	}
}

// parseMoment reads a time, or a span before now; "" is the zero time.
func parseMoment(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, ok := parseSpan(s)
	if !ok {
		return time.Time{}, usagef("--%s must be a time such as 2030-01-31T12:00:00Z, or a span before now such as 90m, 24h or 7d", flag)
	}
	return now.Add(-d), nil
}

func (a *app) auditList() *cobra.Command {
	var limit int
	var filter func() (client.AuditFilter, error)
	cmd := needs(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the audit log, newest first", Args: cobra.NoArgs,
		Example: `  gatehouse audit list --action delete --since 7d
  gatehouse audit list --match openai`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit must be at least 1")
			}
			f, err := filter()
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			entries, err := first(limit, c.Audit(cmd.Context(), f))
			if err != nil {
				return err
			}
			return a.print(cmd, entries, func(w io.Writer) {
				row(w, "TIME", "WHO", "ACTION", "RESOURCE", "TARGET", "CHANGES")
				for _, e := range entries {
					row(w, e.Time.Local().Format(time.DateTime), actorCell(e.Actor, e.Address), actionCell(e),
						strings.ReplaceAll(e.ResourceType, "_", " "), e.Target, changes(e))
				}
			})
		},
	}, "audit_log:read")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most this `number` of entries")
	filter = a.filterFlags(cmd)
	return cmd
}

func actionCell(e client.AuditEntry) string {
	if e.Count > 1 {
		return fmt.Sprintf("%s ×%d", e.Action, e.Count)
	}
	return e.Action
}

func (a *app) auditExport() *cobra.Command {
	var format string
	var filter func() (client.AuditFilter, error)
	cmd := needs(&cobra.Command{
		Use: "export", Short: "Export the audit log, oldest first", Args: cobra.NoArgs,
		Long: `Write the audit log to standard output, oldest first. As jsonl and without a
filter it holds all that gatehouse audit verify needs; csv is a table for people.`,
		Example: `  gatehouse audit export > audit.jsonl
  gatehouse audit export --format csv --since 30d > audit.csv`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "jsonl" && format != "csv" {
				return usagef("--format must be jsonl or csv")
			}
			f, err := filter()
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			return c.ExportAudit(cmd.Context(), f, format, cmd.OutOrStdout())
		},
	}, "audit_log:read")
	cmd.Flags().StringVar(&format, "format", "jsonl", "`form` of the export: jsonl or csv")
	complete(cmd, "format", "jsonl", "csv")
	filter = a.filterFlags(cmd)
	return cmd
}

func (a *app) auditCheckpoint() *cobra.Command {
	return needs(&cobra.Command{
		Use: "checkpoint", Short: "Print a signed checkpoint of the audit log", Args: cobra.NoArgs,
		Long: `Print a signed checkpoint of the audit log: one line of JSON that says what the
log is now. Keep it where nobody who can write to the database can, and give it
to gatehouse audit verify.`,
		Example: `  gatehouse audit checkpoint >> /mnt/elsewhere/audit-checkpoints`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			p, err := c.AuditCheckpoint(cmd.Context())
			if err != nil {
				return err
			}
			b, err := json.Marshal(p)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
			return err
		},
	}, "audit_log:read")
}

func actorCell(actor client.AuditActor, address string) string {
	if actor.Name == "" {
		return strings.TrimSpace(actor.Kind + " " + address)
	}
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
		Old, New            json.RawMessage
		Secret              bool
		Cleared, Unreadable bool // of a document as a whole
	}
	if json.Unmarshal(e.Diff, &fields) != nil {
		return string(e.Diff) // in a form that this program does not know: as it is
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		before, after := valueText(f.Old), valueText(f.New)
		switch {
		case name == "secret_revision" || name == "fingerprint": // for gatehouse dbcrypt verify
			continue
		case f.Unreadable:
			parts = append(parts, name+" were unreadable")
		case f.Cleared:
			parts = append(parts, name+" cleared")
		case f.Secret:
			parts = append(parts, fmt.Sprintf("%s %s (secret)", name, cmp.Or(map[string]string{"create": "set", "delete": "removed", "purge": "removed"}[e.Action], "changed")))
		case before == "":
			parts = append(parts, name+" "+after)
		case after == "" && (e.Action == "delete" || e.Action == "purge"):
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
