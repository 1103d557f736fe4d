package rotation

import (
	"context"
	"time"
)

// Look looks for new data keys, as Run does.
func (k *Keeper) Look(ctx context.Context) { k.look(ctx) }

// RestAfter is how long a rotator of that batch rests from a step that took so long.
func RestAfter(batch int, took time.Duration) time.Duration {
	return (&Rotator{cfg: Config{Batch: batch}}).restAfter(took)
}
