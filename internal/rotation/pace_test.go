package rotation_test

import (
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/rotation"
)

// Records are sealed again at 450 a second, and never for more than half of the
// time.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		batch      int
		took, rest time.Duration
	}{
		{450, 200 * time.Millisecond, 800 * time.Millisecond},
		{450, 0, time.Second},
		{45, 20 * time.Millisecond, 80 * time.Millisecond},
		{45, 60 * time.Millisecond, 60 * time.Millisecond},
		{45, 3 * time.Second, 3 * time.Second},
	} {
		if got := rotation.RestAfter(tc.batch, tc.took); got != tc.rest {
			t.Errorf("%d in %v: it rests for %v, want %v", tc.batch, tc.took, got, tc.rest)
		}
	}
}
