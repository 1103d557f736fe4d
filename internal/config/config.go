// Package config is what a server must know before it has a database. Each
// setting is a flag, a variable GATEHOUSE_FLAG, and a key of the YAML file that
// --config names; the first of these that is given counts.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/seed"
)

// A Config is the settings of a server. See [Config.Bind] for what each means.
type Config struct {
	DataDir         string
	HTTPAddress     string
	DatabaseURL     secret.Text // zero is SQLite in the data directory
	LogLevel        slog.Level
	LogFormat       string
	ShutdownTimeout time.Duration
	TLSCert, TLSKey string
	PublicURL       string
	TrustedProxies  []netip.Prefix
	// SessionIdle is how long a session may go unused, and SessionLifetime how long
	// it lasts in any case.
	SessionIdle, SessionLifetime time.Duration
	// OIDC are the identity providers of the file that OIDCFile names, "" for none.
	OIDCFile string
	OIDC     []OIDCProvider

	UpstreamDeny, UpstreamAllow []netip.Prefix
	AWSMetadata                 []string // of AWSContainer and AWSInstance
	FirstByteTimeout            time.Duration
	IdleTimeout                 time.Duration
	ReplayBody                  int64 // bytes
	ReplayMemory                int64 // bytes
	SeedFromEnv                 bool
	SeedMode                    seed.Mode
	AuditCheckpoints            []string      // sinks; none is the file in the data directory
	AuditRetention              time.Duration // zero is for ever
	InterceptionRetention       time.Duration // zero is for ever
	JournalSize                 int64         // bytes
	ReplicaTimeout              time.Duration
	// EncryptionKeySources are in the form of [keyring.ParseSources], which takes
	// them; none is the variable GATEHOUSE_ENCRYPTION_KEYS, or the file in the data
	// directory.
	EncryptionKeySources []string

	file     string
	settings []string // the names of the flags that may be given in other ways
}

// What AWSMetadata has.
const (
	AWSContainer = "container"
	AWSInstance  = "instance"
)

// Bind defines the settings as flags of fs, with their defaults.
func (c *Config) Bind(fs *pflag.FlagSet) {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.StringVar(&c.DataDir, "data-dir", datadir.Default(), "`directory` of the database, the encryption key and the owner's token")
	own.StringVar(&c.HTTPAddress, "http-address", "127.0.0.1:8090", "`address` to listen on")
	own.Var((*secretValue)(&c.DatabaseURL), "database-url", "PostgreSQL `URL`, postgres://…; left out: SQLite in the data directory. It has a password in it, so prefer the variable or the file")
	own.Var((*levelValue)(&c.LogLevel), "log-level", "debug, info, warn or error")
	own.StringVar(&c.LogFormat, "log-format", "text", "text or json")
	own.DurationVar(&c.ShutdownTimeout, "shutdown-timeout", 30*time.Second, "how long running requests may take to finish when the server stops")
	own.StringVar(&c.TLSCert, "tls-cert", "", "PEM `file` of the certificate chain; read again when it changes")
	own.StringVar(&c.TLSKey, "tls-key", "", "PEM `file` of the certificate's private key")
	own.StringVar(&c.PublicURL, "public-url", "", "`URL` that clients reach this server by, if it is not the address it listens on")
	own.Var((*prefixesValue)(&c.TrustedProxies), "trusted-proxies", "`networks` of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, separated by commas")
	own.DurationVar(&c.SessionIdle, "session-idle", 12*time.Hour, "how long a browser that signed in may do nothing before it has to sign in again")
	own.DurationVar(&c.SessionLifetime, "session-lifetime", 7*24*time.Hour, "how long after signing in a browser has to sign in again in any case")
	own.StringVar(&c.OIDCFile, "oidc-providers", "", "YAML `file` of the identity providers that people may sign in by with OpenID Connect; it is read at the start")
	own.Var((*prefixesValue)(&c.UpstreamDeny), "upstream-deny", "`networks` that providers must not be in, besides link-local and cloud metadata addresses, which never may")
	own.Var((*prefixesValue)(&c.UpstreamAllow), "upstream-allow", "the only `networks` that providers may be in; left out: all that are not denied")
	own.StringSliceVar(&c.AWSMetadata, "aws-metadata", nil, "`services` of AWS that may be asked for the credentials of this server, for providers on Bedrock that use them, separated by commas: container (of an ECS task or an EKS pod), instance (of an EC2 machine, IMDSv2); left out: none")
	own.DurationVar(&c.FirstByteTimeout, "first-byte-timeout", 10*time.Minute, "how long a provider may take to begin its answer; one that is not streamed begins when it is complete")
	own.DurationVar(&c.IdleTimeout, "idle-timeout", 5*time.Minute, "how long a provider may pause within an answer")
	own.Int64Var(&c.ReplayBody, "replay-body", 8<<20, "largest request in `bytes` that is held so that it can be sent again with the next key")
	own.Int64Var(&c.ReplayMemory, "replay-memory", 256<<20, "`bytes` that all held requests together may take")
	own.BoolVar(&c.SeedFromEnv, "seed-from-env", false, "also add providers from OPENAI_API_KEY and ANTHROPIC_API_KEY, as from the variables GATEHOUSE_PROVIDER_<N>_…")
	c.SeedMode = seed.Keep
	own.Var((*modeValue)(&c.SeedMode), "seed-mode", "what becomes of a provider that differs from what the environment says: keep, fail or overwrite")
	own.StringSliceVar(&c.AuditCheckpoints, "audit-checkpoints", nil, "`places` outside the database that signed checkpoints of the audit log are sent to, separated by commas: stdout, file:PATH, or the URL of a webhook; left out: the file audit-checkpoints in the data directory. Keep a copy where nobody who can write to the database can")
	own.DurationVar(&c.AuditRetention, "audit-retention", 0, "how long audit entries are kept, such as 8760h; 0 is for ever. What proves the rest of the log stays")
	own.Int64Var(&c.JournalSize, "journal-size", 256<<20, "`bytes` of disk for the records of requests that the database has not taken yet; beyond that they are dropped, and counted")
	own.DurationVar(&c.InterceptionRetention, "interception-retention", 90*24*time.Hour, "how long the records of requests are kept, such as 720h; 0 is for ever")
	own.DurationVar(&c.ReplicaTimeout, "replica-timeout", 15*time.Second, "how long a replica may be silent before a rotation of the encryption keys goes on without it")
	own.StringSliceVar(&c.EncryptionKeySources, "encryption-key-source", nil, "`places` of the encryption keys, the newest first, separated by commas: file or file:PATH, env (the variable GATEHOUSE_ENCRYPTION_KEYS), credential or credential:NAME (of systemd), exec:PROGRAM ARGUMENT…, vault:MOUNT/KEY (Transit of Vault or OpenBao), awskms:KEY; left out: env if that variable is set, else the file encryption-key in the data directory, which is made at the first start")
	own.VisitAll(func(f *pflag.Flag) { c.settings = append(c.settings, f.Name) })
	fs.AddFlagSet(own)
	fs.StringVar(&c.file, "config", "", "YAML `file` with settings, named as the flags are")
}

// BindDatabase defines the settings that say which database to work on, for
// commands that need no others than these and more.
func (c *Config) BindDatabase(fs *pflag.FlagSet, more ...string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Bind(all)
	for _, name := range append([]string{"data-dir", "database-url", "config"}, more...) {
		fs.AddFlag(all.Lookup(name))
	}
}

// Load completes the settings that no flag of fs gave, by environment and
// file, and checks them all. An empty value is as good as none. Flags of fs that [Config.Bind] did not define, such
// as those of the whole command line, are flags only.
func (c *Config) Load(fs *pflag.FlagSet, lookup func(string) (string, bool)) error {
	if v, _ := lookup(Variable("config")); v != "" && !fs.Changed("config") {
		c.file = v
	}
	fromFile, err := c.readFile()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range c.settings {
		f := fs.Lookup(name)
		if f == nil || f.Changed { // not a setting of this command, or given
			continue
		}
		value, source := "", Variable(name)
		if value, _ = lookup(source); value == "" {
			value, source = fromFile[name], c.file+": "+name
		}
		if value == "" {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", source, valueError(f.Value.Type(), err)))
		}
	}
	if c.OIDCFile != "" && fs.Lookup("oidc-providers") != nil {
		var err error
		c.OIDC, err = loadOIDC(c.OIDCFile, lookup)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.check())...)
}

// valueError says what a value of the type must be. The errors of our own types do
// so; the others quote the value, which may be a secret that was put in the wrong
// place.
func valueError(kind string, err error) error {
	switch kind {
	case "duration":
		return errors.New("must be a length of time, such as 30s or 24h")
	case "int64":
		return errors.New("must be a whole number")
	case "bool":
		return errors.New("must be true or false")
	case "stringSlice":
		return errors.New("must be a list, separated by commas")
	}
	return err
}

// settingName is what a setting may be called: what else stands in its place is
// not repeated.
var settingName = regexp.MustCompile(`^[a-z]{1,20}([-_][a-z]{1,20}){0,3}$`)

// Variable returns the name of the environment variable of a flag.
func Variable(flag string) string {
	return "GATEHOUSE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (c *Config) readFile() (map[string]string, error) {
	if c.file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	raw := map[string]any{}
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&raw); err != nil && !errors.Is(err, io.EOF) { // nothing but comments is no document
		// The parser quotes what it read, which may be a secret.
		return nil, fmt.Errorf("%s is not a YAML file of settings, one NAME: VALUE a line", c.file)
	}
	out := map[string]string{}
	for name, v := range raw {
		if !slices.Contains(c.settings, name) && !settingName.MatchString(name) {
			return nil, fmt.Errorf("%s: it has something in it that is no setting; they are named as the flags of gatehouse server", c.file)
		}
		if !slices.Contains(c.settings, name) {
			return nil, fmt.Errorf("%s: there is no setting %q; they are named as the flags of gatehouse server", c.file, name)
		}
		if v == nil { // as if it were not there
			continue
		}
		if list, ok := v.([]any); ok {
			var parts []string
			for _, e := range list {
				parts = append(parts, fmt.Sprint(e))
			}
			v = strings.Join(parts, ",")
		}
		out[name] = fmt.Sprint(v)
	}
	return out, nil
}

func (c *Config) check() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		refuse("data-dir: there is no home directory to put it in; name one")
	}
	if !slices.Contains([]string{"text", "json"}, c.LogFormat) {
		refuse("log-format: must be text or json")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		refuse("tls-cert and tls-key: give both or none")
	}
	if u := c.DatabaseURL.Reveal(); u != "" && !strings.HasPrefix(u, "postgres://") && !strings.HasPrefix(u, "postgresql://") {
		refuse("database-url: must begin with postgres://; without it, SQLite in the data directory is used")
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			refuse("public-url: must be an http or https URL")
		}
		c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	}
	for _, service := range c.AWSMetadata {
		if service != AWSContainer && service != AWSInstance {
			refuse("aws-metadata: must be container, instance, or both, separated by a comma")
			break
		}
	}
	for name, d := range map[string]time.Duration{
		"shutdown-timeout": c.ShutdownTimeout, "first-byte-timeout": c.FirstByteTimeout, "idle-timeout": c.IdleTimeout,
		"audit-retention": c.AuditRetention, "interception-retention": c.InterceptionRetention,
	} {
		if d < 0 || d == 0 && name != "shutdown-timeout" && !strings.HasSuffix(name, "-retention") {
			refuse("%s: must be longer than nothing", name)
		}
	}
	if c.SessionIdle < 5*time.Minute || c.SessionLifetime < c.SessionIdle {
		refuse("session-idle and session-lifetime: five minutes at least, and the lifetime no shorter than the idle time")
	}
	if c.ReplicaTimeout < time.Second {
		refuse("replica-timeout: must be a second at least")
	}
	for name, d := range map[string]time.Duration{"audit-retention": c.AuditRetention, "interception-retention": c.InterceptionRetention} {
		if d > 0 && d < time.Hour {
			refuse("%s: must be an hour at least, or 0 for ever", name)
		}
	}
	if _, err := keyring.ParseSources(c.EncryptionKeySources); err != nil {
		refuse("encryption-key-source: %v", err)
	}
	if c.ReplayBody < 0 || c.ReplayMemory < 0 {
		refuse("replay-body and replay-memory: must not be negative")
	}
	if c.JournalSize < journalLeast {
		refuse("journal-size: must be %d (16 MiB) at least", journalLeast)
	}
	return errors.Join(errs...)
}

// journalLeast is four files of the journal, which it cannot do with fewer of.
const journalLeast = 16 << 20

// A secretValue is a flag whose value does not show.
type secretValue secret.Text

func (*secretValue) String() string { return "" }

func (*secretValue) Type() string { return "string" }

func (v *secretValue) Set(s string) error {
	*v = secretValue(secret.New(s))
	return nil
}

type levelValue slog.Level

func (v *levelValue) String() string { return strings.ToLower(slog.Level(*v).String()) }

func (*levelValue) Type() string { return "level" }

func (v *levelValue) Set(s string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(s)); err != nil {
		return errors.New("must be debug, info, warn or error")
	}
	*v = levelValue(l)
	return nil
}

type modeValue seed.Mode

func (v *modeValue) String() string { return string(*v) }

func (*modeValue) Type() string { return "mode" }

func (v *modeValue) Set(s string) error {
	if !slices.Contains(seed.Modes(), seed.Mode(s)) {
		return errors.New("must be keep, fail or overwrite")
	}
	*v = modeValue(s)
	return nil
}

type prefixesValue []netip.Prefix

func (v *prefixesValue) String() string {
	var parts []string
	for _, p := range *v {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ",")
}

func (*prefixesValue) Type() string { return "networks" }

func (v *prefixesValue) Set(s string) error {
	var out []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, addrErr := netip.ParseAddr(part)
			if addrErr != nil {
				return errors.New("must be networks such as 10.0.0.0/8 or single addresses, separated by commas")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	*v = out
	return nil
}
