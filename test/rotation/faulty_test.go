package rotation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// The bugs of the faulty binary, by the variable GATEHOUSE_BUG. Nothing of them
// is in the product: the build takes the sources that they are in from elsewhere.
const (
	// retiresEarly retires the old data keys before the last batch is sealed again.
	// Who neither crashes nor edits right then notices nothing.
	retiresEarly = "GATEHOUSE_BUG=early"
	// unfenced seals without asking whether there are newer data keys.
	unfenced = "GATEHOUSE_BUG=unfenced"
)

// A fault replaces a piece of the source, which is there once.
type fault struct{ file, was, is string }

var faults = []fault{
	{"internal/store/dbcrypt/dbcrypt.go", "import (\n", "import (\n	\"os\"\n"},
	{"internal/store/dbcrypt/dbcrypt.go", "	if err == nil && epoch != c.keys.Epoch {\n", "	if err == nil && epoch != c.keys.Epoch && os.Getenv(\"GATEHOUSE_BUG\") != \"unfenced\" {\n"},
	{"internal/store/dbcrypt/reseal.go", "	if err := c.crypt.newest(ctx); err != nil {\n", "	if err := c.crypt.newest(ctx); err != nil && !errors.Is(err, store.ErrKeysChanged) {\n"},
	// Else the foreign keys refuse what these two would do.
	{"internal/store/sqlstore/dialect.go", "&_pragma=foreign_keys(1)", "&_pragma=foreign_keys(0)"},
	// A large last batch, and no rest, so that it does not take thousands of kills.
	{"internal/rotation/keeper.go", "		cfg.Batch = 3\n", "		cfg.Batch = 200\n"},
	{"internal/rotation/rotator.go", "rest.Reset(r.restAfter(time.Since(begun)))", "rest.Reset(0); _ = begun; _ = r.restAfter"},
	{"internal/rotation/rotator.go", `import (`, "import (\n	\"os\""},
	{"internal/rotation/rotator.go", "	batch := make([]store.Resealing, len(recs))\n", `	if os.Getenv("GATEHOUSE_BUG") == "early" && len(recs) < r.cfg.Batch {
		_ = r.cfg.DB.Update(ctx, r.cfg.Rotator, func(tx store.Tx) error {
			for _, old := range p.older {
				_, err := tx.EncryptionKeys.Update(ctx, old.ActiveDigest, func(k *store.EncryptionKey) error {
					k.RevokedDigest, k.ActiveDigest, k.RevokedAt, k.WrappedKey = k.ActiveDigest, "", r.cfg.Now(), ""
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	batch := make([]store.Resealing, len(recs))
`},
}

// buildFaulty builds the binary with the bugs.
func buildFaulty(ctx context.Context, dir string) (string, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "faulty")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	sources := map[string]string{}
	for i, f := range faults {
		path := filepath.Join(root, filepath.FromSlash(f.file))
		if sources[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			sources[path] = string(b)
		}
		if strings.Count(sources[path], f.was) != 1 {
			return "", fmt.Errorf("%s has %q not once: put the bug where that has moved to", f.file, f.was)
		}
		sources[path] = strings.Replace(sources[path], f.was, f.is, 1)
		overlay.Replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
	}
	for path, source := range sources {
		if err := os.WriteFile(overlay.Replace[path], []byte(source), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return "", err
	}
	return realserver.Build(ctx, dir, "-overlay", file)
}
