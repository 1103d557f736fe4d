package app

import (
	"context"
	"io"
	"time"

	"github.com/gatehousehq/gatehouse/internal/config"
)

// RestoreInSteps replaces a database as the command with --force does, and calls
// step after each step.
func RestoreInSteps(ctx context.Context, cfg config.Config, file string, step func(name string)) error {
	r := restoring{cfg: cfg, file: file, out: io.Discard, force: true, now: time.Now, step: step}
	return r.run(ctx)
}
