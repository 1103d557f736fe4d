package sqlstore

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

func TestBothFoldersHoldTheSameMigrations(t *testing.T) {
	t.Parallel()
	names := func(folder string) (out []string) {
		files, err := fs.Glob(migrations, path.Join("migrations", folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			out = append(out, path.Base(f))
		}
		return out
	}
	lite, pg := names("sqlite"), names("postgres")
	if !slices.Equal(lite, pg) || len(lite) == 0 {
		t.Errorf("sqlite has %q, postgres has %q", lite, pg)
	}
}

func TestUnusableDatabaseURLsDoNotShow(t *testing.T) {
	t.Parallel()
	const canary = "hunter2hunter2"
	for _, u := range []string{
		"postgres://u:" + canary + "@[::1/x", "postgres://u:" + canary + "@127.0.0.1:1/x?connect_timeout=1", "postgres://u:" + canary + "%zz@h/x",
	} {
		_, err := Open(t.Context(), Config{URL: secret.New(u)})
		if err == nil {
			t.Fatal("opened")
		}
		if strings.Contains(err.Error(), canary[:8]) {
			t.Error("the error shows the password")
		}
	}
}
