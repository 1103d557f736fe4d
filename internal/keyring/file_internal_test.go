package keyring

import (
	"io/fs"
	"testing"
)

// TestWhoMayRead is from inside, since a test cannot give files away.
func TestWhoMayRead(t *testing.T) {
	t.Parallel()
	const root, us, them = 0, 65532, 1000
	for name, tt := range map[string]struct {
		mode        fs.FileMode
		owner, self int
		want        bool
	}{
		"ours alone":                     {0o600, us, us, false},
		"ours, to be read":               {0o400, us, us, false},
		"ours, the group reads":          {0o640, us, us, true},
		"root's and we are root":         {0o600, root, root, false},
		"root's, we are, the group":      {0o640, root, root, true},
		"root's, by our group":           {0o440, root, us, false},
		"root's, the group writes":       {0o660, root, us, true},
		"root's, anybody reads":          {0o444, root, us, true},
		"another's, by our group":        {0o440, them, us, true},
		"another's, we are root":         {0o600, them, root, false},
		"another's, we are root, others": {0o604, them, root, true},
		"kind and sticky bits alone":     {0o600 | fs.ModeSticky, us, us, false},
	} {
		if got := exposed(tt.mode, tt.owner, tt.self); got != tt.want {
			t.Errorf("%s: exposed is %v", name, got)
		}
	}
}
