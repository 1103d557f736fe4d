package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReferenceIsCurrent is what go run ./internal/tools/genref -check does.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	if err := run(filepath.Join("..", "..", ".."), true); err != nil {
		t.Error(err)
	}
}

func TestCheckNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"a.md": []byte("a"), "b.md": []byte("b"), "c.md": []byte("c")}
	dir := t.TempDir()
	for name, content := range map[string]string{"a.md": "a", "b.md": "older", "left-over.md": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := compare(dir, files)
	if err == nil || !strings.Contains(err.Error(), "b.md, c.md, left-over.md") {
		t.Errorf("got %v", err)
	}
}

func TestReferenceIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	first, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	second, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name := range first {
		if string(first[name]) != string(second[name]) {
			t.Errorf("%s differs from run to run", name)
		}
	}
}
