package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// The keys of the demo's upstream, which is of no worth to anybody.
const (
	demoSpentKey = "sk-demo-0001-this-one-is-rate-limited"
	demoGoodKey  = "sk-demo-0002-this-one-answers"
)

const (
	demoRetryAfter = 5 * time.Second // how long the rate-limited key asks to wait
	demoPace       = 40 * time.Millisecond
	demoEvents     = 256 // records that may wait to be printed; more are dropped
)

// DemoCommand returns the command "gatehouse demo".
func DemoCommand(version client.Version) *cobra.Command {
	var address string
	var stay bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try the gateway with a built-in provider, offline",
		Long: `Try the gateway: a server with a built-in mock of the OpenAI, Anthropic and
Gemini APIs, which needs no network, no key and no configuration. Each provider has two keys,
of which the first answers 429, so that requests fail over to the second.

It prints what to paste into your clients, sends a request to each provider, and
shows every request as it happens. On a terminal it stays until Ctrl-C. All that
it keeps is in a temporary directory, and is removed when it ends.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			out := cmd.OutOrStdout()
			f, ok := out.(*os.File)
			stay = stay || ok && term.IsTerminal(int(f.Fd()))
			d := demo{out: out, version: version, address: address, stay: stay}
			return d.run(ctx)
		},
	}
	cmd.Flags().StringVar(&address, "http-address", "127.0.0.1:8090", "`address` to listen on; if it is in use, a free port is taken")
	cmd.Flags().BoolVar(&stay, "stay", false, "stay until SIGINT or SIGTERM without a terminal, too")
	return cmd
}

// A demo is one run of the command.
type demo struct {
	out     io.Writer
	version client.Version
	address string
	stay    bool

	server *Server
	admin  *client.Client
	token  secret.Text
	keys   map[string]string // what the upstream calls a key, by its id
}

func (d *demo) run(ctx context.Context) (err error) {
	upstream, closeUpstream, err := startMock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeUpstream()) }()
	dir, err := os.MkdirTemp("", "gatehouse-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	events := make(chan usage.Record, demoEvents)
	if d.server, err = d.newServer(ctx, dir, events); err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(serving) }() // ends with stop, below
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()
	if err := d.furnish(ctx, dir, upstream); err != nil {
		return fmt.Errorf("set up the demo: %w", err)
	}
	d.instructions(dir)

	if err = d.sendRequests(ctx, events); err == nil {
		err = d.showAudit(ctx)
	}
	if err == nil && d.stay {
		d.printf("\nReady for your clients. Ctrl-C ends the demo.\n\n")
		d.watch(ctx, events)
	}
	if ctx.Err() != nil {
		return nil // Ctrl-C is how a demo ends
	}
	return err
}

// startMock starts the upstream on a port of its own and returns its URL.
func startMock() (string, func() error, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start the mock provider: %w", err)
	}
	srv := &http.Server{
		Handler: mockupstream.New(mockupstream.Config{
			Keys: map[secret.Text]mockupstream.Key{
				secret.New(demoSpentKey): {Label: "first key", Behaviour: mockupstream.RateLimited},
				secret.New(demoGoodKey):  {Label: "second key"},
			},
			Pace: demoPace, RetryAfter: demoRetryAfter, Keep: -1,
		}),
		ReadHeaderTimeout: readHeaderTime,
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String(), func() error {
		err := srv.Close()
		<-done
		return err
	}, nil
}

// newServer starts a server with the defaults, whatever the environment says.
func (d *demo) newServer(ctx context.Context, dir string, events chan<- usage.Record) (*Server, error) {
	var cfg config.Config
	fs := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	cfg.Bind(fs)
	cfg.DataDir, cfg.HTTPAddress, cfg.ShutdownTimeout = dir, d.address, time.Second
	if err := cfg.Load(fs, func(string) (string, bool) { return "", false }); err != nil {
		return nil, err
	}
	o := Options{
		Version: d.version,
		Log:     slog.New(slog.DiscardHandler), // what happens is shown as events
		Observe: func(r usage.Record) {
			select {
			case events <- r:
			default:
			}
		},
	}
	s, err := NewServer(ctx, cfg, o)
	if errors.Is(err, syscall.EADDRINUSE) {
		cfg.HTTPAddress = "127.0.0.1:0"
		s, err = NewServer(ctx, cfg, o)
	}
	return s, err
}

// furnish adds the providers and the token, over the API as anybody would.
func (d *demo) furnish(ctx context.Context, dir, upstream string) error {
	owner, err := ownerToken(dir)
	if err != nil {
		return err
	}
	if d.admin, err = client.New(d.server.URL(), owner.Reveal()); err != nil {
		return err
	}
	d.keys = map[string]string{}
	for _, p := range []client.CreateProvider{
		{Type: client.OpenAI, Name: "openai", BaseURL: upstream + "/v1"},
		{Type: client.Anthropic, Name: "anthropic", BaseURL: upstream},
		{Type: client.Gemini, Name: "gemini", BaseURL: upstream},
	} {
		p.APIKeys = []string{demoSpentKey, demoGoodKey}
		made, err := d.admin.CreateProvider(ctx, p)
		if err != nil {
			return err
		}
		for i, k := range made.APIKeys {
			d.keys[k.ID] = fmt.Sprintf("key %d", i+1)
		}
	}
	made, err := d.admin.CreateToken(ctx, client.CreateToken{Name: "demo", Scopes: []string{"gateway:use"}})
	if err != nil {
		return err
	}
	d.token = secret.New(made.Secret)
	return nil
}
