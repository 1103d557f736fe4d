package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/config"
	"github.com/gatehousehq/gatehouse/internal/datadir"
)

// BuildVersion returns the version of this program: release is what the linker
// was told, "" for a build from a checkout.
func BuildVersion(release string) client.Version {
	v := client.Version{Version: release, Go: runtime.Version()}
	if v.Version == "" {
		v.Version = "dev"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	return v
}

// ServerCommand returns the command "gatehouse server".
func ServerCommand(version client.Version) *cobra.Command {
	var cfg config.Config
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the gateway",
		Long: `Run the gateway: the AI gateway under /ai, the API under /api/v1.

Each setting is a flag, a variable (GATEHOUSE_ and the flag's name in capitals,
with underscores), and a key of the YAML file that --config names. A flag counts
before a variable, and a variable before the file.

At its first start the server makes its data directory, an encryption key to
back up (unless --encryption-key-source names one), and the file owner-token, with which the other commands of this machine
reach it. It stops on SIGINT and SIGTERM, once running requests have finished;
a second signal stops it at once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Load(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			useTwoThreads()
			log := newLogger(cmd.ErrOrStderr(), cfg)
			requests, flush := newRequestLogger(cmd.ErrOrStderr(), cfg)
			defer flush()
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			s, err := NewServer(ctx, cfg, Options{Version: version, Log: log, RequestLog: requests, Stdout: cmd.OutOrStdout()})
			if err != nil {
				return err
			}
			announce(cmd.OutOrStdout(), s, cfg)
			return s.Serve(ctx)
		},
	}
	cfg.Bind(cmd.Flags())
	return cmd
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM.
// The second one ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// useTwoThreads lets Go code run on two threads where there is one CPU, unless the
// environment says how many. With one, whatever else the server does (records
// are written, the disk is waited for) keeps requests waiting for up to 10 ms,
// until the runtime looks at the network again; of two, the kernel chooses well.
func useTwoThreads() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}

// newRequestLogger returns the logger of requests, of which there are many: see
// lateWriter. Flush is for the end.
func newRequestLogger(w io.Writer, cfg config.Config) (log *slog.Logger, flush func()) {
	late := &lateWriter{w: w}
	return slog.New(lateHandler{newLogger(late, cfg).Handler(), late}), late.Flush
}

func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// announce says where the server is and what to do next.
func announce(w io.Writer, s *Server, cfg config.Config) {
	database := filepath.Join(cfg.DataDir, datadir.Database)
	if s.store.backend.Shared() {
		database = "PostgreSQL"
	}
	_, _ = fmt.Fprintf(w, "Gatehouse is listening on %s\n  database       %s\n  encryption key %s (back it up, apart from the database)\n",
		s.URL(), database, s.store.keks.place()) // nobody may be reading
	if t, err := ownerToken(cfg.DataDir); err == nil && !t.IsZero() {
		_, _ = fmt.Fprintf(w, "  owner's token  in %s; the gatehouse command on this machine uses it,\n                 and it signs you in to the console at the address above\n", filepath.Join(cfg.DataDir, datadir.OwnerToken))
	}
	if s.table.Current().Empty() {
		_, _ = fmt.Fprintln(w, "Next: add a provider, in the console or with\n  gatehouse provider add --preset openai")
	}
}
