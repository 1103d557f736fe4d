package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/cli"
)

// cliPage is the help of every command, as the program prints it.
func cliPage(string) ([]byte, error) {
	version := client.Version{Version: "dev"}
	root := cli.New(version.Version, app.ServerCommand(version), app.DemoCommand(version), app.AuditVerifyCommand(), app.UserRecoverCommand(),
		app.BackupCommand(), app.RestoreCommand())
	p := newPage("Command line", "The help of each command, as `gatehouse COMMAND --help` prints it.")
	if err := describe(p, root); err != nil {
		return nil, err
	}
	return p.bytes(), nil
}

// describe writes the help of a command and of those under it.
func describe(p *page, cmd *cobra.Command) error {
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if f := cmd.LocalFlags().Lookup("data-dir"); f != nil && f.DefValue != "" {
		f.DefValue = dataDir
	}
	var help strings.Builder
	cmd.SetOut(&help)
	if err := cmd.Help(); err != nil {
		return err
	}
	p.heading(2, cmd.CommandPath())
	p.block(help.String())
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			if err := describe(p, c); err != nil {
				return err
			}
		}
	}
	return nil
}
