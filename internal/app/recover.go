package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/cli"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
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
in the data directory.

It works on the database itself, on the machine: stop the server that uses the
data directory first. What it does is in the audit log.`,
		Example: `  gatehouse user recover --data-dir /var/lib/gatehouse`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			name := ownerName
			if len(args) > 0 {
				name = args[0]
			}
			file, err := recoverUser(cmd.Context(), cfg, name, time.Now)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "User %s is an owner, and has a new token in %s.\nStart the server; the gatehouse command on this machine uses that token.\n", name, file)
			return err
		},
	}
	cfg.BindDatabase(cmd.Flags())
	return cmd
}

// recoverUser returns the file with the new token.
func recoverUser(ctx context.Context, cfg config.Config, name string, now func() time.Time) (file string, err error) {
	if _, err := os.Stat(cfg.DataDir); err != nil { // claiming would make it
		return "", fmt.Errorf("open the data directory: %w", err)
	}
	release, err := claim(cfg.DataDir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, release()) }()
	sc := sqlstore.Config{URL: cfg.DatabaseURL, Now: now}
	if cfg.DatabaseURL.IsZero() {
		sc.Path = filepath.Join(cfg.DataDir, datadir.Database)
	}
	backend, err := sqlstore.Inspect(ctx, sc)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	file = filepath.Join(cfg.DataDir, datadir.OwnerToken)
	db := layered(backend, &keyring.Ring{}, now, nil) // nothing here is sealed
	return file, db.Update(ctx, authn.Recovery, func(tx store.Tx) error {
		u, err := ownerAgain(ctx, tx, name)
		if err != nil {
			return err
		}
		var token secret.Text
		if _, token, err = authn.Mint(ctx, tx, u.ID, now(), authn.NewToken{Name: datadir.OwnerToken, Scopes: []string{string(rbac.ScopeAll)}}); err != nil {
			return err
		}
		// Before the commit, as at the first start: if it fails, the file has a
		// token that is none, and the command is run again.
		return writeSecret(file, []byte(token.Reveal()+"\n"))
	})
}

// ownerAgain returns the user of that name, enabled and an owner.
func ownerAgain(ctx context.Context, tx store.Tx, name string) (store.User, error) {
	u, err := tx.Users.Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		id, err := uuid.NewV7()
		if err != nil {
			return store.User{}, err
		}
		return tx.Users.Insert(ctx, store.User{ID: id.String(), Name: name, Roles: store.SetOf(string(rbac.Owner))})
	}
	if err != nil {
		return store.User{}, err
	}
	return tx.Users.Update(ctx, u.ID, func(u *store.User) error {
		u.Disabled = false
		u.Roles = store.SetOf(append(u.Roles.Slice(), string(rbac.Owner))...)
		return nil
	})
}
