//go:build linux

// Bench measures what Gatehouse costs beside the proxies that people would
// otherwise put there.
//
//	go run ./test/bench [-short] [-duration 2.5s] [-rounds 3] [-only gatehouse,nginx]
//
// Four targets are asked in turns, several rounds, and the medians shown: the
// mock upstream itself (direct), nginx (if it is installed), a bare
// [net/http/httputil.ReverseProxy], and the real Gatehouse binary with SQLite,
// one provider, one key and a token. Each proxy is a process of its own, alone
// on one CPU; the load generator and the mock upstream have the others. Only
// figures of the same run can be compared: machines change their speed.
//
// Everything listens on the loopback interface. It needs Linux. An error of any request is
// counted, shown, and makes the exit status 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The program is also what it starts: see upstream.go and bare.go.
	run := measure
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "mock":
			run = runMock
		case "bare":
			run = runBare
		}
	}
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	short    bool
	duration time.Duration
	warmup   time.Duration
	rounds   int
	only     string
	logLevel string
}

// wants reports whether a target is to be measured.
func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", false, "one short round, to see that it works")
	flags.DurationVar(&o.duration, "duration", 2500*time.Millisecond, "length of each measurement")
	flags.DurationVar(&o.warmup, "warmup", 500*time.Millisecond, "time before each measurement that is not counted")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds to take medians of")
	flags.StringVar(&o.only, "only", "", "targets to measure, separated by commas: direct, nginx, bare, gatehouse")
	flags.StringVar(&o.logLevel, "log-level", "info", "log level of Gatehouse, whose log goes to a file")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.short {
		o.duration, o.warmup, o.rounds = 600*time.Millisecond, 200*time.Millisecond, 1
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if o.only != "" && !slices.Contains([]string{"direct", "nginx", "bare", "gatehouse"}, name) {
			return o, fmt.Errorf("-only: there is no target %q", name)
		}
	}
	if o.rounds < 1 || o.duration <= 0 || o.warmup < 0 || flags.NArg() > 0 {
		return o, fmt.Errorf("the flags make no sense: %s", strings.Join(args, " "))
	}
	return o, nil
}

// dirVariable hands the run's directory, with the built binary in it, to the
// same program after it has put itself on its CPUs. It removes the directory.
const dirVariable = "GATEHOUSE_BENCH_DIR"

func measure(ctx context.Context, args []string, out io.Writer) error {
	opt, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return pinned(ctx, opt)
	}
	defer os.RemoveAll(dir)
	machine(out, opt)

	rig := &rig{dir: dir, logLevel: opt.logLevel}
	defer rig.stop()
	targets, err := rig.start(ctx, opt.wants, out)
	if err != nil {
		return err
	}
	scenarios := scenarios()
	results := map[string][]result{}
	for range opt.rounds {
		for _, s := range scenarios {
			for _, t := range targets {
				r, err := load(ctx, t, s, opt.warmup, opt.duration)
				if err != nil {
					return err
				}
				results[s.name+t.name] = append(results[s.name+t.name], r)
			}
		}
	}
	return table(out, scenarios, targets, results)
}

// pinned builds Gatehouse while it still may use every CPU, then becomes the
// same program on all CPUs but the targets'.
func pinned(ctx context.Context, opt options) error {
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // after Exec, which does not return, it is the other's
	if opt.wants("gatehouse") {
		if _, err := realserver.Build(ctx, dir); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := append(onCPUs(loadCPUs()), self)
	taskset, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("find taskset, of Debian's package util-linux: %w", err)
	}
	return syscall.Exec(taskset, append(command, os.Args[1:]...), append(os.Environ(), dirVariable+"="+dir))
}

// machine says what the figures were taken on.
func machine(out io.Writer, opt options) {
	model := "unknown CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	fmt.Fprintf(out, "%d cores, %s, %s %s/%s\n", cores(), model, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(out, "targets on CPU %s, load and upstream on %s; medians of %d × %v\n",
		targetCPU(), loadCPUs(), opt.rounds, opt.duration)
}
