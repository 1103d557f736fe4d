package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

const defaultURL = "http://127.0.0.1:8090"

// connect returns a client of the server that the flags and the environment
// name.
func (a *app) connect() (*client.Client, error) {
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	c, err := client.New(a.serverURL(), token.Reveal(), client.WithUserAgent("gatehouse/"+a.version))
	if err != nil {
		return nil, &failure{exitUsage, err.Error(), []string{
			"The URL is from --url or GATEHOUSE_URL, the token from " + a.tokenFrom + ".",
		}}
	}
	return c, nil
}

// provider returns a client of the server, and the provider of that name there.
func (a *app) provider(cmd *cobra.Command, name string) (*client.Client, client.Provider, error) {
	c, err := a.connect()
	if err != nil {
		return nil, client.Provider{}, err
	}
	p, err := c.Provider(cmd.Context(), name)
	return c, p, err
}

func (a *app) serverURL() string {
	return cmp.Or(a.url, os.Getenv("GATEHOUSE_URL"), defaultURL)
}

// token returns the token to present: the one in GATEHOUSE_TOKEN, else the
// owner's, which is given to a server on this machine only.
func (a *app) token() (secret.Text, error) {
	if v := strings.TrimSpace(os.Getenv("GATEHOUSE_TOKEN")); v != "" {
		a.tokenFrom = "GATEHOUSE_TOKEN"
		return secret.New(v), nil
	}
	if !onThisMachine(a.serverURL()) {
		return secret.Text{}, &failure{exitFailed, "there is no token for this server", []string{
			"Set GATEHOUSE_TOKEN. The owner-token of this machine is never sent to another one.",
		}}
	}
	dir, err := a.dataDirectory()
	if err != nil {
		return secret.Text{}, err
	}
	file := filepath.Join(dir, datadir.OwnerToken)
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return secret.Text{}, &failure{exitFailed, "there is no token", []string{
			`Start the server with "gatehouse server": at its first start it writes ` + file + `.`,
			"Or name its data directory with --data-dir, or set GATEHOUSE_TOKEN.",
		}}
	case errors.Is(err, fs.ErrPermission):
		return secret.Text{}, &failure{exitFailed, "this user may not read " + file, []string{
			"Run the command as the user that runs the server, or set GATEHOUSE_TOKEN.",
		}}
	case err != nil:
		return secret.Text{}, fmt.Errorf("read the owner's token: %w", err)
	}
	a.tokenFrom = file
	return secret.New(strings.TrimSpace(string(b))), nil
}

// dataDirectory returns where a server on this machine keeps its files.
func (a *app) dataDirectory() (string, error) {
	if dir := cmp.Or(a.dataDir, os.Getenv("GATEHOUSE_DATA_DIR")); dir != "" {
		return dir, nil
	}
	if dir := datadir.Default(); dir != "" {
		return dir, nil
	}
	return "", usagef("there is no home directory to look in: name the server's with --data-dir, or set GATEHOUSE_TOKEN")
}

func onThisMachine(server string) bool {
	u, err := url.Parse(server)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
