package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) dbcryptDelete() *cobra.Command {
	var installation string
	cmd := needs(&cobra.Command{
		Use: "delete", Aliases: []string{"wipe"}, Short: "Remove every stored secret that does not open", Args: cobra.NoArgs,
		Long: `Remove every stored secret that does not open any more: a provider key as a
whole, of a provider its settings. They cannot be brought back. What opens is left
alone, and each removal is in the audit log.

It asks for the name of the installation, which gatehouse dbcrypt status shows,
or takes it from --installation.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if installation == "" {
				if installation, err = askInstallation(cmd, c); err != nil || installation == "" {
					return err
				}
			}
			w, err := c.WipeUnreadable(cmd.Context(), client.Wipe{Installation: installation})
			if err != nil {
				return err
			}
			if len(w.Removed) == 0 {
				sayNothingLost(cmd)
				return a.printIfJSON(cmd, w)
			}
			say(cmd, "%s removed.", plural(len(w.Removed), "secret that did not open is", "secrets that did not open are"))
			return a.print(cmd, w, func(out io.Writer) { findingRows(out, w.Removed) })
		},
	}, "ai_provider:read", "ai_provider:update", "ai_provider_key:read", "ai_provider_key:delete", "encryption_key:read", "replica:read", "audit_log:read")
	cmd.Flags().StringVar(&installation, "installation", "", "the `name` of the installation, to be sure; with it nothing is asked")
	return cmd
}

func sayNothingLost(cmd *cobra.Command) { say(cmd, "Every secret opens: there is nothing to remove.") }

// askInstallation shows what would be removed and has the name of the
// installation typed. It returns "" if there is nothing to remove.
func askInstallation(cmd *cobra.Command, c *client.Client) (string, error) {
	in, ok := terminal(cmd)
	if !ok {
		return "", usagef("this removes something, and there is no terminal to ask for consent: give --installation")
	}
	rotation, err := c.Rotation(cmd.Context())
	if err != nil {
		return "", err
	}
	report, err := c.VerifyEncryption(cmd.Context())
	if err != nil {
		return "", err
	}
	n := 0
	for _, f := range report.Findings {
		if f.Problem == "unreadable" {
			say(cmd, "%s %s of %s does not open", strings.ReplaceAll(f.Resource, "_", " "), f.ID, f.Target)
			n++
		}
	}
	if n == 0 {
		sayNothingLost(cmd)
		return "", nil
	}
	// The terminal may be gone; then the read fails.
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "To remove %s for good, type the name of the installation, %s: ", plural(n, "secret", "secrets"), printable(rotation.Installation))
	answer, err := untilDone(cmd.Context(), func() ([]byte, error) { return readLine(in), nil })
	if err != nil {
		return "", err
	}
	if name := strings.TrimSpace(string(answer)); name == rotation.Installation && name != "" {
		return name, nil
	}
	return "", errors.New("nothing was removed")
}
