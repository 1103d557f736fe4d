package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

func (a *app) userPassword() *cobra.Command {
	var file string
	cmd := needs(&cobra.Command{
		Use: "password USER", Short: "Give a user a password, to sign in with a browser", Args: cobra.ExactArgs(1),
		Long: `Give a user, by name or id, a password to sign in with a browser. It asks for
it, or reads it from a file; your own takes the current one, if there is one.
Another's they must change when they have signed in with it. All sessions of the
user end.

Once the owner of the token in the file owner-token has a password that file goes:
have another token before that, if this machine is to go on using one.`,
		Example:           `  gatehouse user password ada`,
		ValidArgsFunction: a.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			me, err := c.SignedIn(cmd.Context())
			if err != nil {
				return err
			}
			p := passwordInput{file: file}
			own := args[0] == me.ID || args[0] == me.Name
			var current secret.Text
			if own && me.PasswordSet {
				if current, err = p.ask(cmd, "Your current password"); err != nil {
					return err
				}
			}
			next, err := p.askTwice(cmd, "New password of "+args[0])
			if err != nil {
				return err
			}
			if !own {
				if err := c.SetPassword(cmd.Context(), args[0], next.Reveal()); err != nil {
					return err
				}
				say(cmd, "The password is set, and the sessions of that user are over. They must change it when they have signed in with it.")
				return nil
			}
			if err := c.ChangePassword(cmd.Context(), current.Reveal(), next.Reveal()); err != nil {
				return err
			}
			say(cmd, "Your password is set, and your sessions are over: sign in at %s.", c.URL())
			return nil
		},
	}, "password:create", "password:update", "user:read")
	cmd.Flags().StringVar(&file, "password-file", "", "read the passwords from this `file`, one a line: the current one first if there is one and it is yours; - is standard input")
	return cmd
}

// A passwordInput is where passwords come from: the lines of a file, or a person.
type passwordInput struct {
	file  string
	lines []secret.Text // nil: not read yet
}

func (p *passwordInput) ask(cmd *cobra.Command, prompt string) (secret.Text, error) {
	if p.file != "" {
		return p.line(cmd)
	}
	in, ok := terminal(cmd)
	if !ok {
		return secret.Text{}, usagef("a password is needed, and there is no terminal to ask for it: give --password-file (- is standard input)")
	}
	return promptSecret(cmd, in, prompt, "the password")
}

// askTwice has a person type it again: nobody sees what they type.
func (p *passwordInput) askTwice(cmd *cobra.Command, prompt string) (secret.Text, error) {
	first, err := p.ask(cmd, prompt)
	if err != nil || p.file != "" {
		return first, err
	}
	second, err := p.ask(cmd, "The same again")
	if err == nil && second != first {
		err = errors.New("the two passwords differ: nothing was changed")
	}
	return first, err
}

// line returns the next line of the file.
func (p *passwordInput) line(cmd *cobra.Command) (pw secret.Text, err error) {
	if p.lines == nil {
		if p.lines, err = secretsIn(cmd, "--password-file", p.file, "the passwords"); err != nil {
			return pw, err
		}
	}
	if len(p.lines) == 0 {
		return pw, errors.New("read the password: the file has no line for it; the current one, if there is one and it is yours, comes first")
	}
	pw, p.lines = p.lines[0], p.lines[1:]
	return pw, nil
}

func (a *app) userSessions() *cobra.Command {
	return needs(&cobra.Command{
		Use: "sessions [USER]", Short: "List who is signed in with a browser", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			list := c.Sessions(cmd.Context())
			if len(args) > 0 {
				list = c.SessionsOf(cmd.Context(), args[0])
			}
			all := []client.Session{}
			for s, err := range list {
				if err != nil {
					return err
				}
				all = append(all, s)
			}
			return a.print(cmd, all, func(w io.Writer) {
				row(w, "USER", "BY", "FROM", "SIGNED IN", "LAST SEEN", "STATE", "SESSION ID")
				for _, s := range all {
					state := "active"
					if !s.Active {
						state = "over"
					}
					row(w, s.User, s.Method, s.Address, a.when(&s.CreatedAt), a.when(&s.LastSeenAt), state, s.ID)
				}
			})
		},
	}, "session:read")
}

func (a *app) userEndSession() *cobra.Command {
	return needs(&cobra.Command{
		Use: "end-session ID", Short: "End a session: the browser has to sign in again", Args: cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := c.EndSession(cmd.Context(), args[0]); err != nil {
				return err
			}
			say(cmd, "The session is over.")
			return nil
		},
	}, "session:delete")
}
