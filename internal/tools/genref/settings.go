package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/gatehousehq/gatehouse/internal/config"
)

// dataDir is said in place of the default data directory of whoever runs this.
const dataDir = "$XDG_DATA_HOME/gatehouse; as root, /var/lib/gatehouse"

func settingsPage(string) ([]byte, error) {
	p := newPage("Settings of a server",
		"Each setting of `gatehouse server` is a flag, an environment variable, and a key of the YAML file that `--config` or `GATEHOUSE_CONFIG` names. A flag counts before a variable, and a variable before the file. Keys of the file are named as the flags are, without the hyphens in front:",
		"```yaml\nhttp-address: 127.0.0.1:8090\nlog-format: json\ntrusted-proxies: [10.0.0.0/8]\n```",
		"A key that is not known is an error. Sizes are in bytes; durations are such as `90s`, `5m` or `1h30m`; networks are such as `10.0.0.0/8`, or single addresses, separated by commas.")
	var c config.Config
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	c.Bind(fs)
	var rows [][]string
	fs.VisitAll(func(f *pflag.Flag) {
		placeholder, usage := pflag.UnquoteUsage(f)
		value := f.DefValue
		if f.Name == "data-dir" {
			value = dataDir
		}
		if value != "" {
			value = code(value)
		}
		key := code(f.Name)
		if f.Name == "config" {
			key = ""
		}
		rows = append(rows, []string{code(strings.TrimSpace("--" + f.Name + " " + placeholder)), code(config.Variable(f.Name)), key, value, usage})
	})
	p.table([]string{"Flag", "Variable", "Key", "Default", "What it is"}, rows)
	return p.bytes(), nil
}
