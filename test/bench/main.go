//go:build linux

// Bench measures what Gatehouse costs beside the proxies that people would
// otherwise put there.
//
//	go run ./test/bench [-short] [-duration 2s] [-rounds 3] [-only gatehouse,nginx] [-rows TLS] [-out docs/performance.md]
//
// Four targets are asked in turns, several rounds, and the medians shown: the
// mock upstream itself (direct), nginx (if it is installed), a bare
// [net/http/httputil.ReverseProxy], and the real Gatehouse binary with SQLite, a
// token, and two providers of one key each: one whose upstream is reached by
// HTTP, and one by HTTPS. Two rows are by a token with a list of models, and by a
// route. Each proxy is a process of its own, alone
// on one CPU; the load generator and the mock upstream have the others. Only
// figures of the same run can be compared: machines change their speed.
//
// Everything listens on the loopback interface. It needs Linux. An error of any request is
// counted, shown, and makes the exit status 1.
package main

import (
	"bytes"
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
	out      string
	rows     string
	args     []string // as they were given
}

// wants reports whether a target is to be measured.
func (o options) wants(name string) bool {
	return o.only == "" || slices.Contains(strings.Split(o.only, ","), name)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", false, "one short round, to see that it works")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "length of each measurement")
	flags.DurationVar(&o.warmup, "warmup", 400*time.Millisecond, "time before each measurement that is not counted")
	flags.IntVar(&o.rounds, "rounds", 3, "rounds to take medians of")
	flags.StringVar(&o.only, "only", "", "targets to measure, separated by commas: direct, nginx, bare, gatehouse")
	flags.StringVar(&o.logLevel, "log-level", "info", "log level of Gatehouse, whose log goes to a file")
	flags.StringVar(&o.rows, "rows", "", "measure only the rows with this in their name")
	flags.StringVar(&o.out, "out", "", "a file to write a page of documentation to")
	o.args = args
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
	rig := &rig{dir: dir, logLevel: opt.logLevel}
	defer rig.stop()
	targets, err := rig.start(ctx, opt.wants, out)
	if err != nil {
		return err
	}
	scenarios := slices.DeleteFunc(scenarios(), func(s scenario) bool { return !strings.Contains(s.name, opt.rows) })
	begun, busy := time.Now(), busyness()
	all := results{}
	for range opt.rounds {
		for _, s := range scenarios {
			for _, t := range targets {
				if s.open && t.pid == 0 {
					continue // it would be our own memory
				}
				r, err := load(ctx, t, s, opt.warmup, opt.duration)
				if err != nil {
					return err
				}
				key := [2]string{s.name, t.name}
				all[key] = append(all[key], r)
			}
		}
	}
	var page bytes.Buffer
	fmt.Fprintf(&page, intro, strings.Join(append([]string{"go run ./test/bench"}, opt.args...), " "))
	machine(&page, opt, begun, busy)
	fmt.Fprint(&page, "\n## Against what we want to be\n\n")
	if err := compare(&page, all); err != nil {
		return err
	}
	fmt.Fprint(&page, "\n## All figures\n\n")
	failed := figures(&page, scenarios, targets, all)
	fmt.Fprint(&page, notes)
	if _, err := out.Write(page.Bytes()); err != nil {
		return err
	}
	if opt.out != "" {
		failed = errors.Join(failed, os.WriteFile(opt.out, page.Bytes(), 0o644))
	}
	return failed
}

const intro = `# Performance

Written by %q; do not edit. It measures what Gatehouse costs beside the proxies that people would otherwise put there, in turns, in one run:
machines change their speed, and only figures of the same run can be compared. What is *met* or *missed* is for people to judge; no test depends
on it.

`

const notes = `
p50 and p99 are of a whole answer, from the sending of the request; of a paced stream, from the sending of a chunk to its arrival. Resident memory
is that of the process when the measurement ends, with the pages of the program itself. nginx has two processes, and what they share counts twice.
`

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

// busyness is how busy the machine is with other things, or was lately.
func busyness() string {
	average, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(average), " ")
	return one
}

// machine says what the figures were taken on, and of.
func machine(out io.Writer, opt options, begun time.Time, busy string) {
	model := "unknown CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	commit := "unknown"
	if text, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output(); err == nil {
		commit = strings.TrimSpace(string(text))
	}
	fmt.Fprintf(out, "- %s, commit %s\n", begun.UTC().Format("2006-01-02 15:04 UTC"), commit)
	fmt.Fprintf(out, "- %d cores, %s, %s %s/%s; load average before the run: %s\n", cores(), model, runtime.Version(), runtime.GOOS, runtime.GOARCH, busy)
	fmt.Fprintf(out, "- targets on CPU %s, load and upstream on %s; medians of %d × %v\n", targetCPU(), loadCPUs(), opt.rounds, opt.duration)
}
