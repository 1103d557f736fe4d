package rotation

import "context"

// Step takes one step, as Run does.
func (r *Rotator) Step(ctx context.Context) (more bool, err error) { return r.step(ctx) }
