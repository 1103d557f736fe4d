// Package cli is the gatehouse command line: what people and scripts type.
//
// Its commands are clients of the API and reach a server through package client
// alone; commands that need no server, or are one, are handed in by main. What
// a command was asked for goes to standard output, as a table or as the API's
// own objects in JSON; everything said about it goes to standard error.
//
// Secrets come from a prompt, standard input, a file or a variable, and from no
// flag: other users of a machine can read the arguments of a process. No secret
// is written anywhere but a new token, once, to standard output.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1 // the server refused, or something went wrong
	exitUsage  = 2 // the command line makes no sense
)

// app is what the commands share: the global flags, and where the token came
// from, which an error may have to say.
type app struct {
	version string
	now     func() time.Time

	output  string
	url     string
	dataDir string

	tokenFrom string
}

// New returns the root command. The extra commands become its children, or those
// of a group; main
// brings the server and what works without one. What their RunE returns is told
// like any other error, with exit code 1. Execute the root with [Run].
func New(version string, extra ...*cobra.Command) *cobra.Command {
	a := &app{version: version, now: time.Now}
	root := &cobra.Command{
		Use:   "gatehouse",
		Short: "A self-hosted gateway for AI providers",
		Long: `Gatehouse is a self-hosted gateway for AI providers: one URL and one revocable
token for each person and tool, while the providers' keys stay with Gatehouse.

The provider, key, route, token, user, role, audit, usage and dbcrypt commands talk
to a running server. They find it by --url or GATEHOUSE_URL, and use the token in
GATEHOUSE_TOKEN; without one, and with a server on this machine, the file
owner-token in the data directory.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "table" && a.output != "json" {
				return errors.New("--output must be table or json")
			}
			return nil
		},
	}
	root.SetVersionTemplate("gatehouse {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&a.output, "output", "o", "table", "`form` of the output: table or json")
	f.StringVar(&a.url, "url", "", "`URL` of the server (GATEHOUSE_URL; default "+defaultURL+")")
	f.StringVar(&a.dataDir, "data-dir", "", "`directory` with the owner-token of a server on this machine (GATEHOUSE_DATA_DIR)")
	complete(root, "output", "table", "json")
	root.AddCommand(a.providerCommand(), a.keyCommand(), a.routeCommand(), a.tokenCommand(), a.userCommand(), a.roleCommand(),
		a.whoamiCommand(), a.auditCommand(), a.usageCommand(), a.dbcryptCommand(), a.versionCommand())
	explainErrors(root, a.explain)
	for _, c := range extra {
		parent := root
		for _, g := range root.Commands() {
			if g.Name() == c.Annotations[Group] {
				parent = g
			}
		}
		parent.AddCommand(c)
		explainErrors(c, asItIs)
	}
	return root
}

// Group is the annotation of an extra command that says below which command it
// belongs; without it, that is the root.
const Group = "group"

// Run executes the root command that [New] made, says on its standard error
// what went wrong, and returns the exit code.
func Run(ctx context.Context, root *cobra.Command) int {
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	f, ok := errors.AsType[*failure](err)
	if !ok { // what cobra finds wrong before it runs a command
		f = misuse(cmd, err)
	}
	_, _ = io.WriteString(root.ErrOrStderr(), f.text()) // there is no one left to tell
	return f.code
}

// group returns a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{"there is no such command"}
			}
			return cmd.Help()
		},
	}
	c.AddCommand(children...)
	return c
}

// say writes lines for people to standard error.
func say(cmd *cobra.Command, format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), printable(line)) // there is no one left to tell
	}
}

// needs notes the scopes that a command needs, for its help and for the error
// of a token without them.
func needs(cmd *cobra.Command, scopes ...string) *cobra.Command {
	text := "the scope " + scopes[0]
	if len(scopes) > 1 {
		text = "the scopes " + strings.Join(scopes[:len(scopes)-1], ", ") + " and " + scopes[len(scopes)-1]
	}
	cmd.Annotations = map[string]string{annotationScopes: text}
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long += "\n\nA token needs " + text + "."
	return cmd
}

const annotationScopes = "scopes"
