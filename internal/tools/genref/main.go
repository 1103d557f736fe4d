// Command genref writes docs/reference from the code that it describes: the
// OpenAPI document, the routes and what they take, scopes, roles, what the audit
// log shows, the settings of a server, the headers that pass the gateway, and
// the command line.
//
// Run it from the root of the module. With -check it writes nothing, and exits
// with 1 if a file is not what it would write.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	root := flag.String("root", ".", "`directory` of the module")
	check := flag.Bool("check", false, "compare, and write nothing")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "genref:", err)
		os.Exit(1)
	}
}

// directory is where the files are, from the root of the module.
const directory = "docs/reference"

// byHand are the files there that are not written by this program.
var byHand = []string{"cell-format.md"}

func run(root string, check bool) error {
	dir := filepath.Join(root, filepath.FromSlash(directory))
	files, err := generate(root)
	if err != nil {
		return err
	}
	if check {
		return compare(dir, files)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare returns an error that names the files of dir that differ from files,
// in either direction.
func compare(dir string, files map[string][]byte) error {
	var differ []string
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			differ = append(differ, name)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && files[d.Name()] == nil && !slices.Contains(byHand, d.Name()) {
			differ = append(differ, d.Name())
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		return fmt.Errorf("%s differs from the code in %s: run go run ./internal/tools/genref", directory, strings.Join(differ, ", "))
	}
	return nil
}

// generate returns the content of each file by its name.
func generate(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, make := range map[string]func(root string) ([]byte, error){
		"openapi.json":       openAPI,
		"api.md":             apiPage,
		"scopes.md":          scopesPage,
		"roles.md":           rolesPage,
		"audit.md":           auditPage,
		"server-settings.md": settingsPage,
		"headers.md":         headersPage,
		"cli.md":             cliPage,
	} {
		b, err := make(root)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = b
	}
	return files, nil
}
