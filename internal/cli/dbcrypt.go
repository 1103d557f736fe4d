package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) dbcryptCommand() *cobra.Command {
	return group("dbcrypt", "See to the encryption of the stored secrets", a.dbcryptStatus(), a.dbcryptRotate(), a.dbcryptVerify(), a.dbcryptDelete())
}

// An encryptionStatus is what dbcrypt status shows.
type encryptionStatus struct {
	Rotation client.Rotation        `json:"rotation"`
	Keys     []client.EncryptionKey `json:"keys"`
	Replicas []client.Replica       `json:"replicas"`
}

func (a *app) dbcryptStatus() *cobra.Command {
	return needs(&cobra.Command{
		Use: "status", Short: "Show the data keys, the replicas, and how far a rotation is", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			s, err := readStatus(cmd.Context(), c)
			if err != nil {
				return err
			}
			return a.print(cmd, s, func(w io.Writer) { a.statusRows(w, s) })
		},
	}, "encryption_key:read", "replica:read")
}

func readStatus(ctx context.Context, c *client.Client) (s encryptionStatus, err error) {
	if s.Rotation, err = c.Rotation(ctx); err != nil {
		return s, err
	}
	if s.Keys, err = collect(c.EncryptionKeys(ctx)); err != nil {
		return s, err
	}
	s.Replicas, err = collect(c.Replicas(ctx))
	return s, err
}

func (a *app) statusRows(w io.Writer, s encryptionStatus) {
	row(w, "DATA KEY", "PURPOSE", "STATE", "KEK", "SECRETS", "MADE", "RETIRED")
	for _, k := range s.Keys {
		row(w, strconv.FormatInt(k.Number, 10), k.Purpose, k.State, shortKEK(k.KEK), strconv.FormatInt(k.Secrets, 10), a.when(&k.CreatedAt), a.when(k.RetiredAt))
	}
	_, _ = fmt.Fprintln(w) // Flush returns the error
	row(w, "REPLICA", "VERSION", "KEYS", "KEKS", "STARTED", "SEEN", "TROUBLE")
	for _, r := range s.Replicas {
		keks := make([]string, len(r.KEKs))
		for i, k := range r.KEKs {
			keks[i] = shortKEK(k)
		}
		row(w, r.Name, r.Version, keysOf(r, s.Rotation), strings.Join(keks, ", "), a.when(&r.Started), a.when(&r.Seen), r.Trouble)
	}
	_, _ = fmt.Fprintln(w) // Flush returns the error
	row(w, "Installation", s.Rotation.Installation)
	row(w, "Rotation", progress(s.Rotation))
	if s.Rotation.Trouble != "" {
		row(w, "It waits", s.Rotation.Trouble)
	}
}

// keysOf says whether a replica has the newest data keys.
func keysOf(r client.Replica, now client.Rotation) string {
	if r.KeyEpoch == now.KeyEpoch {
		return "newest"
	}
	return "older"
}

// shortKEK returns the beginning of the id of a key that is kept in a file. Those
// that a key service has are names, and are shown in full.
func shortKEK(id string) string {
	if len(id) < 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return id
	}
	return id[:8] + "…"
}

// progress says how far a rotation is.
func progress(r client.Rotation) string {
	switch r.State {
	case "idle":
		return fmt.Sprintf("none is under way; %d of %s under the primary data key", r.Done, secrets(r.Secrets))
	case "requested":
		return "a rotation (" + r.Requested + ") is about to begin"
	case "distributing":
		return "the new data key is on its way to every replica"
	case "resealing":
		return fmt.Sprintf("%d of %s sealed again", r.Done, secrets(r.Secrets))
	}
	return r.State
}

func secrets(n int64) string { return plural(int(n), "secret", "secrets") }

func (a *app) dbcryptVerify() *cobra.Command {
	return needs(&cobra.Command{
		Use: "verify", Short: "Verify that every stored secret opens, and is the one that was written last", Args: cobra.NoArgs,
		Long: `Verify every stored secret: that it opens in its place, that it is the one that
was written last, and that none was taken away or planted. The server holds the
database to its audit log for that; that the log is well itself is shown by
gatehouse audit verify. No secret is shown.

The exit code is 1 if anything is wrong.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			r, err := c.VerifyEncryption(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.print(cmd, r, func(w io.Writer) { reportRows(w, r) }); err != nil {
				return err
			}
			return findingsFailure(r.Findings)
		},
	}, "ai_provider:read", "ai_provider_key:read", "audit_log:read")
}

func reportRows(w io.Writer, r client.EncryptionReport) {
	if len(r.Findings) > 0 {
		findingRows(w, r.Findings)
		_, _ = fmt.Fprintln(w) // Flush returns the error
	}
	verdict := "all is well"
	if n := len(r.Findings); n > 0 {
		verdict = plural(n, "finding", "findings")
	}
	row(w, secrets(r.Secrets)+" tried: "+verdict)
	if r.Unproved > 0 {
		row(w, plural(int(r.Unproved), "record", "records")+
			" of which the audit log has no entry any more: that a newer secret was replaced by an older one would not be seen")
	}
}

func findingRows(w io.Writer, findings []client.EncryptionFinding) {
	row(w, "PROBLEM", "RESOURCE", "TARGET", "ID", "DETAIL")
	for _, f := range findings {
		row(w, strings.ReplaceAll(f.Problem, "_", " "), strings.ReplaceAll(f.Resource, "_", " "), f.Target, f.ID, f.Detail)
	}
}

// advice says what to do about each kind of finding, in the order in which that
// is done.
var advice = []struct{ problem, text string }{
	{"unreadable", "unreadable: it was altered or moved in the database, or its data key is gone. Give it again (gatehouse key add, gatehouse provider edit --settings); what is lost for good is removed by gatehouse dbcrypt delete."},
	{"rolled_back", "rolled back: an older secret was put in the place of a newer one. Give the newest again, remove the old one, and revoke it at the provider."},
	{"missing", "missing: it was removed behind the server's back. Give it again."},
	{"planted", "planted: it was written behind the server's back. Remove it (gatehouse key remove, gatehouse provider remove), and look at what it was used for."},
}

// findingsFailure returns the error of a report with findings; nil if there are
// none.
func findingsFailure(findings []client.EncryptionFinding) error {
	if len(findings) == 0 {
		return nil
	}
	f := &failure{code: exitFailed, reason: plural(len(findings), "secret or record is", "secrets or records are") + " not what the server wrote last"}
	for _, a := range advice {
		for _, found := range findings {
			if found.Problem == a.problem {
				f.advice = append(f.advice, a.text)
				break
			}
		}
	}
	f.advice = append(f.advice, "Find out who writes to the database, and run gatehouse audit verify with checkpoints that were kept elsewhere.")
	return f
}
