package rotation

import "context"

// Look looks for new data keys, as Run does.
func (k *Keeper) Look(ctx context.Context) { k.look(ctx) }
