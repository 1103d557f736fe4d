package cli

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this program and of the server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out struct {
				Client client.Version  `json:"client"`
				Server *client.Version `json:"server"`
			}
			out.Client = client.Version{Version: a.version, Commit: commit(), Go: runtime.Version()}
			if server, err := a.serverVersion(cmd); err == nil {
				out.Server = &server
			} else {
				say(cmd, "gatehouse: the server's version is not known: %s", a.explain(cmd, err).reason)
			}
			return a.print(cmd, out, func(w io.Writer) {
				row(w, "PROGRAM", "VERSION", "COMMIT", "GO")
				row(w, "client", out.Client.Version, out.Client.Commit, out.Client.Go)
				if s := out.Server; s != nil {
					row(w, "server", s.Version, s.Commit, s.Go)
				}
			})
		},
	}
}

func (a *app) serverVersion(cmd *cobra.Command) (client.Version, error) {
	c, err := a.connect()
	if err != nil {
		return client.Version{}, err
	}
	return c.ServerVersion(cmd.Context())
}

// commit returns the commit that the program was built from, if it knows.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
