package config_test

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/oidc"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/seed"
)

// load returns what a server would have with those flags, variables and file,
// "" being none.
func load(t *testing.T, flags []string, env map[string]string, file string) (config.Config, error) {
	t.Helper()
	var c config.Config
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	c.Bind(fs)
	// The whole command line has flags of its own.
	fs.String("url", "", "")
	fs.StringP("output", "o", "table", "")
	if file != "" {
		path := filepath.Join(t.TempDir(), "gatehouse.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		flags = append(slices.Clone(flags), "--config", path)
	}
	if err := fs.Parse(flags); err != nil {
		t.Fatal(err)
	}
	err := c.Load(fs, func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	return c, err
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := load(t, []string{"--data-dir", "/d"}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DataDir: "/d", HTTPAddress: "127.0.0.1:8090", LogLevel: slog.LevelInfo, LogFormat: "text", ShutdownTimeout: 30 * time.Second,
		FirstByteTimeout: 10 * time.Minute, IdleTimeout: 5 * time.Minute, SessionIdle: 12 * time.Hour, SessionLifetime: 168 * time.Hour, ReplayBody: 8 << 20, ReplayMemory: 256 << 20, ReplicaTimeout: 15 * time.Second,
		SeedMode: seed.Keep, InterceptionRetention: 90 * 24 * time.Hour, JournalSize: 256 << 20,
	}
	if diff := cmp.Diff(want, got, compare...); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

var compare = []cmp.Option{
	cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateComparable(secret.Text{}, netip.Prefix{}),
}

func TestFlagCountsBeforeVariableBeforeFile(t *testing.T) {
	t.Parallel()
	const file = "log-level: error\nlog-format: json\nhttp-address: 127.0.0.1:3\n"
	env := map[string]string{"GATEHOUSE_LOG_LEVEL": "warn", "GATEHOUSE_HTTP_ADDRESS": "127.0.0.1:2"}
	got, err := load(t, []string{"--http-address", "127.0.0.1:1"}, env, file)
	if err != nil {
		t.Fatal(err)
	}
	if got.HTTPAddress != "127.0.0.1:1" || got.LogLevel != slog.LevelWarn || got.LogFormat != "json" {
		t.Errorf("got %s, %s, %s", got.HTTPAddress, got.LogLevel, got.LogFormat)
	}
	// A flag counts even where it says the default.
	got, err = load(t, []string{"--log-level", "info"}, env, file)
	if err != nil || got.LogLevel != slog.LevelInfo {
		t.Errorf("got %s, %v", got.LogLevel, err)
	}
}

func TestEverySettingCanBeGivenInEveryWay(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"data-dir": "/d", "http-address": ":1", "database-url": "postgres://h/db", "log-level": "debug", "log-format": "json",
		"shutdown-timeout": "0s", "tls-cert": "c", "tls-key": "k", "public-url": "https://h", "trusted-proxies": "10.0.0.0/8,::1",
		"upstream-deny": "192.168.0.0/16", "upstream-allow": "172.16.0.1", "aws-metadata": "container,instance", "first-byte-timeout": "1s", "idle-timeout": "2s", "session-idle": "1h0m0s", "session-lifetime": "2h0m0s", "replay-body": "3", "replay-memory": "4",
		"seed-from-env": "true", "seed-mode": "fail", "audit-checkpoints": "stdout,file:/f", "audit-retention": "24h0m0s", "interception-retention": "48h0m0s", "journal-size": "16777216", "replica-timeout": "5s",
		"encryption-key-source": "vault:transit/gatehouse,file:/k", "oidc-providers": "testdata/oidc.yaml",
	}
	want := config.Config{
		DataDir: "/d", HTTPAddress: ":1", DatabaseURL: secret.New("postgres://h/db"), LogLevel: slog.LevelDebug, LogFormat: "json",
		TLSCert: "c", TLSKey: "k", PublicURL: "https://h", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		UpstreamDeny: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}, UpstreamAllow: []netip.Prefix{netip.MustParsePrefix("172.16.0.1/32")},
		AWSMetadata:      []string{"container", "instance"},
		FirstByteTimeout: time.Second, IdleTimeout: 2 * time.Second, SessionIdle: time.Hour, SessionLifetime: 2 * time.Hour, ReplayBody: 3, ReplayMemory: 4,
		SeedFromEnv: true, SeedMode: seed.Fail, AuditCheckpoints: []string{"stdout", "file:/f"}, AuditRetention: 24 * time.Hour, InterceptionRetention: 48 * time.Hour, JournalSize: 16 << 20, ReplicaTimeout: 5 * time.Second,
		EncryptionKeySources: []string{"vault:transit/gatehouse", "file:/k"},
		OIDCFile:             "testdata/oidc.yaml", OIDC: []config.OIDCProvider{{Config: oidc.Config{Name: "acme", Issuer: "https://idp.example.com", ClientID: "gate", DefaultRole: "member", Scopes: []string{"profile", "email"}, CreateUsers: true, EndSession: true}}},
	}
	var bound config.Config
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	bound.Bind(fs)
	var flags []string
	var file strings.Builder
	env := map[string]string{}
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" {
			return
		}
		v, ok := values[f.Name]
		if !ok {
			t.Fatalf("this test does not know --%s", f.Name)
		}
		flags = append(flags, "--"+f.Name+"="+v)
		env[config.Variable(f.Name)] = v
		file.WriteString(f.Name + ": " + `"` + v + `"` + "\n")
	})
	for _, way := range []struct {
		name  string
		flags []string
		env   map[string]string
		file  string
	}{{"flags", flags, nil, ""}, {"variables", nil, env, ""}, {"file", nil, nil, file.String()}} {
		got, err := load(t, way.flags, way.env, way.file)
		if err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
		if diff := cmp.Diff(want, got, compare...); diff != "" {
			t.Errorf("%s (-want +got):\n%s", way.name, diff)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	got, err := load(t, []string{"--data-dir", "/d"}, nil, `
# A comment.
trusted-proxies: [10.0.0.0/8, 192.0.2.7]   # a list, or one text
public-url: https://h/gatehouse/
replay-body: 1048576
tls-cert:
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.TrustedProxies) != 2 || got.TrustedProxies[1].String() != "192.0.2.7/32" || got.PublicURL != "https://h/gatehouse" ||
		got.ReplayBody != 1<<20 || got.TLSCert != "" {
		t.Errorf("got %+v", got)
	}
	for _, empty := range []string{"\n", "# nothing yet\n", "---\n"} {
		if _, err := load(t, nil, nil, empty); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestFileCanBeNamedByAVariable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("log-format: json"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := load(t, nil, map[string]string{"GATEHOUSE_CONFIG": path}, "")
	if err != nil || got.LogFormat != "json" {
		t.Errorf("got %s, %v", got.LogFormat, err)
	}
	// A flag counts before it.
	got, err = load(t, nil, map[string]string{"GATEHOUSE_CONFIG": "/nowhere"}, "log-level: debug")
	if err != nil || got.LogLevel != slog.LevelDebug {
		t.Errorf("got %s, %v", got.LogLevel, err)
	}
}

func TestFlagsOfTheCommandLineAreFlagsOnly(t *testing.T) {
	t.Parallel()
	// These are of the gatehouse command line, which clients are set up by.
	env := map[string]string{"GATEHOUSE_URL": "http://elsewhere", "GATEHOUSE_OUTPUT": "json", "GATEHOUSE_HELP": "x"}
	var c config.Config
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	c.Bind(fs)
	url, output := fs.String("url", "", ""), fs.String("output", "table", "")
	if err := c.Load(fs, func(name string) (string, bool) { v, ok := env[name]; return v, ok }); err != nil {
		t.Fatal(err)
	}
	if *url != "" || *output != "table" {
		t.Errorf("the environment of the client set --url %q and --output %q", *url, *output)
	}
	for _, name := range []string{"url", "output", "config", "help", "no-such"} {
		if _, err := load(t, nil, nil, name+": x"); err == nil || !strings.Contains(err.Error(), "there is no setting") {
			t.Errorf("%s in the file: %v", name, err)
		}
	}
}

func TestWhatIsWrongNamesItsSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		flags []string
		env   map[string]string
		file  string
		want  []string
	}{
		{"variable", nil, map[string]string{"GATEHOUSE_LOG_LEVEL": "loud"}, "", []string{"GATEHOUSE_LOG_LEVEL: must be debug, info, warn or error"}},
		{"file", nil, nil, "trusted-proxies: everywhere", []string{"gatehouse.yaml: trusted-proxies: must be networks such as 10.0.0.0/8"}},
		{"file of another form", nil, nil, "- a\n- b\n", []string{"gatehouse.yaml is not a YAML file of settings"}},
		{"unknown key", nil, nil, "log_level: debug", []string{`gatehouse.yaml: there is no setting "log_level"`}},
		{"no such file", []string{"--config", "/no/such/file"}, nil, "", []string{"read the configuration", "/no/such/file"}},
		{"several at once", nil, map[string]string{"GATEHOUSE_SHUTDOWN_TIMEOUT": "soon", "GATEHOUSE_REPLAY_BODY": "much"}, "log-format: xml",
			[]string{"GATEHOUSE_SHUTDOWN_TIMEOUT", "GATEHOUSE_REPLAY_BODY", "log-format: must be text or json"}},
		{"no data directory", []string{"--data-dir", ""}, nil, "", []string{"data-dir"}},
		{"half a certificate", []string{"--tls-cert", "c"}, nil, "", []string{"tls-cert and tls-key: give both or none"}},
		{"public URL", []string{"--public-url", "h:1"}, nil, "", []string{"public-url: must be an http or https URL"}},
		{"no time at all", []string{"--idle-timeout", "0"}, nil, "", []string{"idle-timeout: must be longer than nothing"}},
		{"less than no time", []string{"--shutdown-timeout", "-1s"}, nil, "", []string{"shutdown-timeout"}},
		{"a key in place of its source", []string{"--encryption-key-source", "file,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, nil, "", []string{"encryption-key-source: source 2: it must begin with file, env, "}},
		{"less than nothing", []string{"--replay-memory", "-1"}, nil, "", []string{"replay-memory: must not be negative"}},
	} {
		_, err := load(t, c.flags, c.env, c.file)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "AAECAwQF") {
				t.Errorf("%s: got %v, want %s", c.name, err, want)
			}
		}
	}
}

// TestValuesAreNotRepeated: any of them may be a secret in the wrong place.
func TestValuesAreNotRepeated(t *testing.T) {
	t.Parallel()
	const secret = `hunter2"hunter2`
	for name, want := range map[string]string{
		"audit-retention": "must be a length of time", "replay-body": "must be a whole number", "seed-from-env": "must be true or false", "seed-mode": "must be keep",
		"log-level": "must be debug", "log-format": "must be text or json", "upstream-deny": "must be networks", "audit-checkpoints": "must be a list",
		"public-url": "must be an http or https URL", "database-url": "must begin with postgres://",
	} {
		_, variable := load(t, nil, map[string]string{config.Variable(name): secret}, "")
		_, file := load(t, nil, nil, name+": '"+secret+"'\n")
		for _, err := range []error{variable, file} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
	if _, err := load(t, nil, nil, "'"+secret+"': 1\n"); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "no setting") {
		t.Errorf("a setting of that name: got %v", err)
	}
}

func TestDatabaseURLIsNeverShown(t *testing.T) {
	t.Parallel()
	const password = "hunter2hunter2"
	const bad = "mysql://u:" + password + "@h/db"
	for _, c := range []struct {
		name  string
		flags []string
		env   map[string]string
		file  string
	}{
		{"flag", []string{"--database-url", bad}, nil, ""},
		{"variable", nil, map[string]string{"GATEHOUSE_DATABASE_URL": bad}, ""},
		{"file", nil, nil, "database-url: " + bad},
		{"file that is not YAML", nil, nil, "database-url: \"" + bad + "\nlog-level: *" + password},
		{"file with it twice", nil, nil, "database-url: " + bad + "\ndatabase-url: " + bad},
	} {
		if _, err := load(t, c.flags, c.env, c.file); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	var c config.Config
	fs := pflag.NewFlagSet("server", pflag.ContinueOnError)
	c.Bind(fs)
	if err := fs.Parse([]string{"--database-url", "postgres://u:" + password + "@h/db"}); err != nil {
		t.Fatal(err)
	}
	if usage := fs.FlagUsages(); strings.Contains(usage, password) || fs.Lookup("database-url").Value.String() != "" {
		t.Error("the usage shows the database URL")
	}
}
