package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

const (
	// lookEvery is how long a rotation is left alone between two looks at it, at
	// first and at most.
	lookEvery, lookAtMost = 100 * time.Millisecond, 2 * time.Second
	// silence is how long the server may be away while a rotation is waited for:
	// it may be starting again.
	silence = 3 * time.Minute
)

func (a *app) dbcryptRotate() *cobra.Command {
	var rewrap, noWait bool
	var timeout time.Duration
	cmd := needs(&cobra.Command{
		Use: "rotate", Short: "Replace the encryption keys while the server serves", Args: cobra.NoArgs,
		Long: `Replace the encryption keys. The data keys are wrapped by the first of the server's
key-encrypting keys, then every secret is sealed again under a new data key, and
the old one is retired. The server serves meanwhile.

With --rewrap the data keys are only wrapped again, and no secret is touched: that
is for moving to another key-encrypting key.

The command waits until it is done, and says what it waits for. When it is
interrupted the rotation goes on, and gatehouse dbcrypt status shows how far it
is. Asked for again while it is under way, it is the same rotation.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout < 0 {
				return usagef("--timeout must not be negative")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			before, err := c.Rotation(cmd.Context())
			if err != nil {
				return err
			}
			mode := "full"
			if rewrap {
				mode = "rewrap"
			}
			r, err := c.Rotate(cmd.Context(), client.Rotate{Mode: mode})
			if err != nil {
				return err
			}
			if before.State == "idle" {
				say(cmd, "The rotation has begun.")
			} else {
				say(cmd, "A rotation is under way already: this is the same one.")
			}
			if noWait {
				say(cmd, "gatehouse dbcrypt status shows how far it is.")
				return a.printIfJSON(cmd, r)
			}
			if r, err = waitForRotation(cmd, c, r, timeout); err != nil {
				return err
			}
			say(cmd, "The rotation is done. gatehouse dbcrypt status shows the keys.")
			return a.printIfJSON(cmd, r)
		},
	}, "encryption_key:read", "encryption_key:rotate", "replica:read")
	cmd.Flags().BoolVar(&rewrap, "rewrap", false, "only wrap the data keys by the newest key-encrypting key")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until it is done")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "`how long` to wait at most, such as 10m; 0 is until it is done")
	cmd.MarkFlagsMutuallyExclusive("no-wait", "timeout")
	return cmd
}

var goesOn = []string{"The rotation goes on in the server. gatehouse dbcrypt status shows how far it is."}

// waitForRotation returns once no rotation is under way. It says how far it is
// when that changes. A server that is away for a while is waited for.
func waitForRotation(cmd *cobra.Command, c *client.Client, r client.Rotation, timeout time.Duration) (client.Rotation, error) {
	ctx := cmd.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var said string
	var away time.Time // since when it did not answer; zero: it does
	for every := lookEvery; ; every = min(every*3/2, lookAtMost) {
		if away.IsZero() {
			if r.State == "idle" {
				return r, nil
			}
			if text := waiting(r); text != said {
				say(cmd, "%s", text)
				said = text
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
		if ctx.Err() != nil {
			return r, stoppedWaiting(cmd, timeout)
		}
		now, err := c.Rotation(ctx)
		switch {
		case ctx.Err() != nil:
			return r, stoppedWaiting(cmd, timeout)
		case err == nil:
			if !away.IsZero() {
				say(cmd, "The server answers again.")
			}
			r, away = now, time.Time{}
		case !passing(err):
			return r, err
		case away.IsZero():
			say(cmd, "The server does not answer (%v); it may be starting again. Trying on.", err)
			away = time.Now()
		case time.Since(away) > silence:
			return r, &failure{exitFailed, fmt.Sprintf("the server has not answered for %s: %v", silence, err), goesOn}
		}
	}
}

// waiting is what is said of a rotation that is under way.
func waiting(r client.Rotation) string {
	text := progress(r)
	if r.Trouble != "" {
		text += "; it waits: " + r.Trouble
	}
	return text
}

// stoppedWaiting is the error of a wait that was ended, by a person or by time.
func stoppedWaiting(cmd *cobra.Command, timeout time.Duration) error {
	reason := fmt.Sprintf("it was not done within %s", timeout)
	if cmd.Context().Err() != nil {
		reason = "interrupted"
	}
	return &failure{exitFailed, reason, goesOn}
}

// passing reports whether an error may be one of a server that is about to come
// back: it could not be reached, or whatever answers says that it cannot now.
func passing(err error) bool {
	e, answered := errors.AsType[*client.Error](err)
	return !answered || e.Status >= http.StatusInternalServerError
}
