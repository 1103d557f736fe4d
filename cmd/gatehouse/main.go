// Command gatehouse is a self-hosted gateway for AI providers, and its command
// line.
package main

import (
	"context"
	"os"

	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/cli"
)

// version is set by the linker when a release is built.
var version string

func main() { os.Exit(run()) }

func run() int {
	v := app.BuildVersion(version)
	return cli.Run(context.Background(), cli.New(v.Version, app.ServerCommand(v), app.DemoCommand(v), app.AuditVerifyCommand(), app.UserRecoverCommand(),
		app.BackupCommand(), app.RestoreCommand(), app.DecryptCommand(), app.KeyRecoverCommand()))
}
