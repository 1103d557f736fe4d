package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/accounts"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// UserRecoverCommand returns the command "gatehouse user recover", which needs
// no server.
func UserRecoverCommand() *cobra.Command {
	var cfg config.Config
	cmd := &cobra.Command{
		Use: "recover [NAME]", Short: "Get back in when no token is left: make a user an owner, with a new token", Args: cobra.MaximumNArgs(1),
		Annotations: map[string]string{cli.Group: "user"},
		Long: `Get back in when no token is left that may do everything. It makes the user
(owner, if no name is given) an enabled one with the role owner, adding them if
they are gone, and writes a new token with the scope all to the file owner-token
in the data directory. A password of theirs is removed, and their sessions end: set
another with gatehouse user password.

It works on the database itself; run it as the user that the server runs as. With
SQLite stop the server first. Servers on PostgreSQL may go on, and take the token
within a second. What it does is in the audit log.`,
		Example: `  gatehouse user recover --data-dir /var/lib/gatehouse`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			name := ownerName
			if len(args) > 0 {
				name = args[0]
			}
			u, err := recoverUser(cmd.Context(), cfg, name, time.Now)
			if err != nil {
				return err
			}
			next := "Start the server"
			if !cfg.DatabaseURL.IsZero() {
				next = "Servers that run take it within a second"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `User %s is an owner, and has a new token in %s.
%s; the gatehouse command on this machine uses that token.
Other tokens work as before: look through gatehouse token list.
`, u.Name, filepath.Join(cfg.DataDir, datadir.OwnerToken), next)
			return err
		},
	}
	cfg.BindDatabase(cmd.Flags())
	return cmd
}

// recoverUser makes that user an owner and writes a new token of theirs to the
// data directory.
func recoverUser(ctx context.Context, cfg config.Config, name string, now func() time.Time) (u store.User, err error) {
	o, err := openOffline(ctx, cfg, now)
	if err != nil {
		return u, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	var token secret.Text
	err = o.db.Update(ctx, authn.Recovery, func(tx store.Tx) (err error) {
		if u, err = ownerAgain(ctx, tx, name); err != nil {
			return err
		}
		// Who is locked out may not know it; and a file of the token beside a password
		// would be removed.
		if _, err := tx.Passwords.Delete(ctx, u.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, token, err = authn.Mint(ctx, tx, u.ID, now(), authn.NewToken{Name: datadir.OwnerToken, Scopes: []string{string(rbac.ScopeAll)}})
		return err
	})
	if err != nil {
		return u, err
	}
	// After the commit: a server that runs removes a file whose token it does not
	// know.
	if err := writeSecret(filepath.Join(cfg.DataDir, datadir.OwnerToken), []byte(token.Reveal()+"\n")); err != nil {
		return u, fmt.Errorf("keep the new token, which is lost with this; run it again: %w", err)
	}
	return u, nil
}

// checkOwnDirectory refuses a data directory that is not there, which claiming
// would make, and one of another user: the server could not read what this
// process writes there, the files of SQLite among it.
func checkOwnDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the data directory %s belongs to another user (id %d), whom the server runs as: run this as that user, with sudo -u '#%d'", dir, st.Uid, st.Uid)
	}
	return nil
}

// ownerAgain returns the user of that name, enabled and an owner. Other roles of
// theirs go: owner grants all that they do, and one that is gone from the
// database must not keep anybody out.
func ownerAgain(ctx context.Context, tx store.Tx, name string) (store.User, error) {
	roles := []string{string(rbac.Owner)}
	u, err := tx.Users.Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return accounts.CreateUser(ctx, tx, name, roles)
	}
	if err != nil {
		return store.User{}, err
	}
	if !u.Disabled && slices.Contains(u.Roles.Slice(), roles[0]) {
		return u, nil
	}
	return accounts.UpdateUser(ctx, tx, u.ID, accounts.UserEdit{Roles: &roles, Disabled: new(false)})
}
