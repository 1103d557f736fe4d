package canary_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// TestTheRealProgramLeaksNothing takes a shorter way through the product with the
// program that users get: its environment, its command line, its crash.
func TestTheRealProgramLeaksNothing(t *testing.T) {
	t.Parallel()
	bin, err := realserver.Build(t.Context(), homeDir(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"sqlite", "postgres"} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			p := &program{house: newHouse(t, database == "postgres"), bin: bin}
			p.journey()
			p.judge(t, true)
			t.Logf("searched: %v", p.found.searched)
		})
	}
}

// A program is a house with the real program in it.
type program struct {
	*house
	bin    string
	cmd    *exec.Cmd
	exited chan error
}

// environment is all that the program has of one.
func (p *program) environment(more ...string) []string {
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + p.base, "TMPDIR=" + os.TempDir(), "GATEHOUSE_DATA_DIR=" + p.dir, "GATEHOUSE_URL=" + p.url, "GOTRACEBACK=system",
		"AWS_ENDPOINT_URL_STS=" + stsURL,
	}, more...)
	if p.pg != "" && !strings.Contains(strings.Join(more, "\n"), "GATEHOUSE_DATABASE_URL=") {
		env = append(env, "GATEHOUSE_DATABASE_URL="+p.pg)
	}
	return env
}

// run runs a command and reports whether it succeeded.
func (p *program) run(where, stdin string, env []string, args ...string) (ok bool, stdout string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Env, cmd.Stdin = p.environment(env...), strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, p.tape.to("errors/of commands")
	err := cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		p.t.Errorf("%s: %v", args[0], err)
	}
	if ctx.Err() != nil {
		p.t.Errorf("gatehouse %q does not end, with the variables %q", args, env)
	}
	p.tape.write(where, out.Bytes())
	return err == nil, out.String()
}

// do runs a command that must succeed.
func (p *program) do(stdin string, args ...string) string {
	p.t.Helper()
	ok, out := p.run("program output/all", stdin, nil, args...)
	if !ok {
		p.t.Errorf("gatehouse %s %s failed", args[0], args[1])
	}
	return out
}

// fail runs a command that must fail.
func (p *program) fail(stdin string, env []string, args ...string) {
	p.t.Helper()
	if ok, _ := p.run("program output/all", stdin, env, args...); ok {
		p.t.Errorf("gatehouse %q succeeded, with the variables %q", args, env)
	}
}

// serve starts the server and waits until it is ready.
func (p *program) serve(env ...string) {
	p.t.Helper()
	address, err := realserver.FreeAddress(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	p.url = "http://" + address
	p.cmd = exec.Command(p.bin, "server", "--http-address", address, "--log-level", "debug", "--shutdown-timeout", "2s")
	p.cmd.Env = p.environment(env...)
	p.cmd.Stdout, p.cmd.Stderr = p.tape.to("program output/server"), p.tape.to("logs/program")
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan error, 1)
	p.exited = exited
	go func() { exited <- cmd.Wait() }()           // ends with the process
	p.t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, unless the test failed
	p.eventually("the server is ready", func() bool {
		res, err := p.http.Get(p.url + "/readyz")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	if p.t.Failed() {
		p.t.Fatalf("the program's log:\n%s", p.tape.of("logs")) // all else would only wait
	}
	p.learn()
}

// end sends a signal and waits for the end.
func (p *program) end(signal os.Signal) error {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Error(err)
	}
	select {
	case err := <-p.exited:
		return err
	case <-time.After(20 * time.Second):
		p.t.Error("the server does not end")
		return p.cmd.Process.Kill()
	}
}

func (p *program) journey() {
	p.t.Helper()
	seedKey := func() string { return p.vault.one("key from the environment") }
	p.badEnvironments()
	seeds := []string{
		"GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=openai", "GATEHOUSE_PROVIDER_1_BASE_URL=" + p.openai.URL + "/v1",
		"GATEHOUSE_PROVIDER_1_KEYS=" + seedKey() + ", " + seedKey(),
		"OPENAI_API_KEY=" + seedKey(), "ANTHROPIC_API_KEY=" + seedKey(), "AWS_SECRET_ACCESS_KEY=" + p.vault.one("Bedrock secret key"),
		"GATEHOUSE_AUDIT_CHECKPOINTS=stdout,file:" + filepath.Join(p.dir, "audit-checkpoints") + "," + p.hookURL(), "GATEHOUSE_LOG_FORMAT=json",
	}
	idp := p.identityProvider()
	p.serve(append(seeds, "GATEHOUSE_OIDC_PROVIDERS="+idp, "CLIENT_SECRET="+p.clientSecret)...)
	p.commands()
	p.ask("openai", "/v1/chat/completions", p.token, false, nil)
	p.ask("vendor", "/v1/chat/completions", p.token, true, nil)
	p.ask("claude", "/v1/messages", p.token, true, nil)
	for _, s := range steps {
		s.do(p.house)
	}
	p.rotated()
	installation := p.api("GET", "/api/v1/encryption-keys/rotation", nil).field("installation")
	p.sweep(true)
	p.crash()

	// After the crash, with other keys in the environment.
	p.serve(append(seeds, "GATEHOUSE_PROVIDER_1_KEYS="+seedKey(), "GATEHOUSE_SEED_MODE=overwrite", "GATEHOUSE_LOG_FORMAT=text")...)
	p.ask("openai", "/v1/chat/completions", p.token, false, nil)
	if err := p.end(syscall.SIGTERM); err != nil {
		p.t.Errorf("the server ended: %v", err)
	}
	p.fail("", append(seeds, "GATEHOUSE_PROVIDER_1_KEYS="+seedKey(), "GATEHOUSE_SEED_MODE=fail"), "server", "--http-address=127.0.0.1:0")
	p.do("", "user", "recover")
	p.learnFiles(p.dir)
	p.do("", "audit", "verify")
	p.exports(installation)
	p.offline()
}

// exports are files that leave the machine: a backup, and every secret encrypted
// to its reader.
func (p *program) exports(installation string) {
	p.t.Helper()
	dir := p.newDir("exports")
	who, err := age.GenerateX25519Identity()
	if err != nil {
		p.t.Fatal(err)
	}
	p.vault.learn("age identity", who.String())
	to, file := "--recipient="+who.Recipient().String(), filepath.Join(dir, "providers.age")
	p.fail("", nil, "dbcrypt", "decrypt", "--recipient="+who.String(), file)
	p.fail("", nil, "dbcrypt", "decrypt", to, "--installation="+p.vault.one("key in the wrong place"), file)
	p.do("", "dbcrypt", "decrypt", to, "--installation="+installation, file)
	if p.pg == "" {
		p.do("", "backup", filepath.Join(dir, "gatehouse.db"))
	}
	for _, f := range p.filesBelow("exports", dir) {
		p.tape.write(f.where, f.content)
	}
}

// badEnvironments are starts that must fail, each for a variable with a secret in
// it.
func (p *program) badEnvironments() {
	p.t.Helper()
	k, password := p.vault.one("key from the environment"), p.vault.one("password of the database")
	for _, env := range [][]string{
		{"GATEHOUSE_PROVIDER_1_KEY=" + k}, {"GATEHOUSE_PROVIDER_X_KEYS=" + k}, {"GATEHOUSE_PROVIDER_1_KEYS=" + k}, {"GATEHOUSE_PROVIDER_1_TYPE=" + k, "GATEHOUSE_PROVIDER_1_NAME=n"},
		{"GATEHOUSE_PROVIDER_1_KEYS=" + k + "," + k, "GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=n", "GATEHOUSE_PROVIDER_1_BASE_URL=http://h/v1"},
		{"GATEHOUSE_PROVIDER_1_KEYS=" + k, "GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=" + k, "GATEHOUSE_PROVIDER_1_BASE_URL=http://h/v1"},
		{"GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=n", "GATEHOUSE_PROVIDER_1_BASE_URL=http://ada:" + k + "@h/v1"},
		{"GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=n", "GATEHOUSE_PROVIDER_1_BASE_URL=http://h/v1", "GATEHOUSE_PROVIDER_1_SETTINGS={" + k},
		{"GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=n", "GATEHOUSE_PROVIDER_1_BASE_URL=http://h/v1", `GATEHOUSE_PROVIDER_1_SETTINGS={"_type":"` + k + `"}`},
		{"GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=n", "GATEHOUSE_PROVIDER_1_BASE_URL=http://h/v1", "GATEHOUSE_PROVIDER_1_ENABLED=" + k},
		{"GATEHOUSE_PROVIDER_1_KEYS_FILE=" + k, "GATEHOUSE_PROVIDER_1_TYPE=openai", "GATEHOUSE_PROVIDER_1_NAME=n", "GATEHOUSE_PROVIDER_1_BASE_URL=http://h/v1"},
		{"GATEHOUSE_PROVIDER_1_KEYS=" + k, "GATEHOUSE_PROVIDER_1_KEYS_FILE=" + k},
		{"GATEHOUSE_LOG_LEVEL=" + k}, {"GATEHOUSE_AUDIT_RETENTION=" + k}, {"GATEHOUSE_REPLAY_BODY=" + k}, {"GATEHOUSE_SEED_FROM_ENV=" + k}, {"GATEHOUSE_SEED_MODE=" + k}, {"GATEHOUSE_AUDIT_CHECKPOINTS=" + k},
		{"GATEHOUSE_UPSTREAM_DENY=" + k}, {"GATEHOUSE_TRUSTED_PROXIES=" + k}, {"GATEHOUSE_PUBLIC_URL=" + k}, {"GATEHOUSE_LOG_FORMAT=" + k},
		{"GATEHOUSE_DATABASE_URL=postgres://ada:" + url.QueryEscape(password) + "@127.0.0.1:1/x?connect_timeout=1"}, {"GATEHOUSE_DATABASE_URL=postgres://ada:" + password + "@127.0.0.1:1/x"},
		{"GATEHOUSE_DATABASE_URL=" + password}, {"GATEHOUSE_DATABASE_URL=postgres://ada:" + url.QueryEscape(password) + "@" + p.refusingDatabase() + "/x?sslmode=disable"},
	} {
		dir := p.newDir("bad")
		if !strings.HasPrefix(env[0], "GATEHOUSE_DATABASE_URL=") {
			env = append(env, "GATEHOUSE_DATABASE_URL=") // a database of its own
		}
		p.fail("", append(env, "GATEHOUSE_DATA_DIR="+dir), "server", "--http-address=127.0.0.1:0")
		p.learnFiles(dir)
		p.look(sinks[0], p.filesBelow("files", dir))
		if err := os.RemoveAll(dir); err != nil {
			p.t.Error(err)
		}
	}
}

// commands are what an operator types, rightly and wrongly.
func (p *program) commands() {
	p.t.Helper()
	k, other := p.vault.one("key of an OpenAI provider"), p.vault.one("key of an OpenAI provider")
	wrong := p.vault.one("key in the wrong place")
	file := filepath.Join(p.newDir("keys"), "keys")
	p.write(file, []byte(p.vault.one("key of an Anthropic provider")+"\n"))
	p.do(k+"\n", "provider", "add", "vendor", "--type", "openai", "--base-url", p.openai.URL+"/v1", "--api-key-file", "-")
	p.do("", "provider", "add", "claude", "--type", "anthropic", "--base-url", p.anthropic.URL, "--api-key-file", file, "--no-test")
	p.do(other+"\n", "key", "add", "vendor", "--label", "second", "--api-key-file", "-", "--output", "json")
	_, out := p.run("program output/new token", "", nil, "token", "create", "ci")
	p.token = strings.TrimSpace(out)
	p.vault.learn("token", p.token)
	for _, args := range [][]string{
		{"provider", "list"}, {"provider", "list", "--output", "json"}, {"provider", "show", "vendor"}, {"key", "list", "vendor"}, {"key", "list", "vendor", "--output", "json"}, {"token", "list"},
		{"token", "list", "--output", "json"}, {"user", "list"}, {"role", "list"}, {"audit", "list"}, {"audit", "list", "--output", "json"}, {"audit", "checkpoint"}, {"whoami", "--output", "json"}, {"version", "--output", "json"},
	} {
		p.do("", args...)
	}
	for _, format := range []string{"jsonl", "csv"} {
		if ok, _ := p.run("audit export/"+format, "", nil, "audit", "export", "--format", format); !ok {
			p.t.Errorf("the export as %s failed", format)
		}
	}
	for _, c := range []struct {
		stdin string
		env   []string
		args  []string
	}{
		{k + "\n", nil, []string{"key", "add", "vendor", "--api-key-file", "-"}}, {k + "\n" + k + "\n", nil, []string{"provider", "add", "again", "--type", "openai", "--base-url", p.openai.URL + "/v1", "--api-key-file", "-"}},
		{" " + wrong + " \n", nil, []string{"key", "add", "vendor", "--api-key-file", "-"}}, {wrong + "\n", nil, []string{"key", "add", "nowhere", "--api-key-file", "-"}},
		{wrong, nil, []string{"provider", "add", "vendor", "--type", "openai", "--base-url", p.openai.URL + "/v1", "--api-key-file", "-"}},
		{"", nil, []string{"key", "add", "vendor", "--api-key-file", wrong}}, {"", nil, []string{"key", "add", "vendor", "--api-key-env", wrong}}, {"", nil, []string{"key", "add", "vendor", "--api-key", wrong}},
		{"", nil, []string{"provider", "add", "x", "--type", "openai", "--base-url", "https://ada:" + url.QueryEscape(wrong) + "@h/v1", "--no-key"}},
		{"", nil, []string{"provider", "add", "x", "--type", "openai", "--base-url", "https://h/v1?key=" + url.QueryEscape(wrong), "--no-key"}},
		{"", nil, []string{"provider", "add", "x", "--type", "anthropic", "--base-url", "https://h", "--no-key", "--settings", `{"_type":"bedrock","_version":1,"region":"us-east-1","access_key":"` + p.vault.one("Bedrock access key") + `"}`}},
		{"", nil, []string{"provider", "add", "x", "--type", "anthropic", "--base-url", "https://h", "--no-key", "--settings", "{" + wrong}},
		{"", nil, []string{"provider", "add", "x", "--type", "anthropic", "--base-url", "https://h", "--no-key", "--settings", "@" + wrong}},
		{"", []string{"GATEHOUSE_TOKEN=" + p.vault.one("token that nobody has")}, []string{"provider", "list"}}, {"", []string{"GATEHOUSE_TOKEN=" + p.vault.one("mistyped token")}, []string{"provider", "list"}},
		{"", []string{"GATEHOUSE_TOKEN=" + p.token}, []string{"provider", "list"}}, {"", []string{"GATEHOUSE_TOKEN=" + wrong + "\n" + wrong}, []string{"provider", "list"}},
		{"", []string{"GATEHOUSE_URL=http://ada:" + url.QueryEscape(wrong) + "@127.0.0.1:1"}, []string{"provider", "list"}}, {"", []string{"GATEHOUSE_URL=http://127.0.0.1:1/?key=" + url.QueryEscape(wrong)}, []string{"provider", "list"}},
		{"", []string{"GATEHOUSE_URL=" + p.vault.one("token that nobody has")}, []string{"provider", "list"}}, {"", []string{"GATEHOUSE_URL=http://127.0.0.1:1", "GATEHOUSE_TOKEN=" + p.token}, []string{"provider", "list"}},
	} {
		p.fail(c.stdin, c.env, c.args...)
	}
}

// crash has the server die in the midst of requests, and say where it was.
func (p *program) crash() {
	p.t.Helper()
	for _, v := range []*vendor{p.openai, p.anthropic} {
		v.set("no end")
	}
	for range 4 {
		go p.ask("vendor", "/v1/chat/completions", p.token, true, nil) // ends with the server
		go p.ask("claude", "/v1/messages", p.token, true, nil)
	}
	p.eventually("requests are under way", func() bool { return p.openai.waiting.Load() > 0 && p.anthropic.waiting.Load() > 0 })
	before := len(p.tape.of("logs/program")[0].content)
	if err := p.end(syscall.SIGQUIT); err == nil {
		p.t.Error("the server did not die")
	}
	said := p.tape.of("logs/program")[0].content[before:]
	if !bytes.Contains(said, []byte("goroutine ")) {
		p.t.Error("the server did not say where it was")
	}
	p.tape.write("crash", said)
	for _, v := range []*vendor{p.openai, p.anthropic} {
		v.set("")
	}
}

// offline are commands without a server that must fail.
func (p *program) offline() {
	p.t.Helper()
	wrong := p.vault.one("encryption key of somebody else")
	dir := p.newDir("else")
	p.copyTo(dir, func([]byte) []byte { return []byte(wrong + "\n") })
	for _, args := range [][]string{
		{"audit", "verify", "--data-dir", dir}, {"server", "--data-dir", dir, "--http-address=127.0.0.1:0"},
		{"provider", "list"}, {"audit", "verify", "--checkpoints", filepath.Join(p.dir, "owner-token")}, {"audit", "verify", "--checkpoints", filepath.Join(p.dir, "encryption-key")}, {"server", "--config", filepath.Join(p.dir, "owner-token")},
		{"server", "--config", filepath.Join(p.dir, "encryption-key")}, {"audit", "verify", "--export", filepath.Join(p.dir, "owner-token"), "--checkpoints", filepath.Join(p.dir, "audit-checkpoints")},
	} {
		p.fail("", nil, args...)
	}
}
