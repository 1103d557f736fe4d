package arch_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gatehousehq/gatehouse"

// A file is what the law looks at in one file of Go.
type file struct {
	name    string // from the root of the module
	pkg     string // directory from the root of the module, "." for the root
	pkgName string // as it stands in the file
	test    bool
	imports []string
	actors  int // literals of store.Actor
	reveals int // calls of Reveal()
}

// readModule reads every file of Go below root that the go command would, for
// any platform. It parses instead of asking "go list", so that the test cache
// knows what the answer depends on.
func readModule(t *testing.T, root string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); name != root && err == nil {
				return fs.SkipDir // another module
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return nil
		}
		src, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's file that is gone again
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), src)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// parse reads one file.
func parse(name string, src []byte) (file, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
	if err != nil {
		return file{}, err
	}
	f := file{name: name, pkg: path.Dir(name), pkgName: tree.Name.Name, test: strings.HasSuffix(name, "_test.go")}
	storeName := "" // what the file calls package store
	if f.pkg == "internal/store" {
		storeName = "."
	}
	for _, spec := range tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, fmt.Errorf("%s: %w", name, err)
		}
		f.imports = append(f.imports, p)
		if p == module+"/internal/store" {
			storeName = "store"
			if spec.Name != nil {
				storeName = spec.Name.Name
			}
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			// The zero Actor may do nothing, so anybody may write it.
			if len(n.Elts) > 0 && names(n.Type, storeName, "Actor") {
				f.actors++
			}
		case *ast.SelectorExpr:
			if n.Sel.Name == "Reveal" {
				f.reveals++
			}
		}
		return true
	})
	return f, nil
}

// names reports whether e is the identifier name of the package that the file
// calls pkg, "." being its own or one imported so.
func names(e ast.Expr, pkg, name string) bool {
	if pkg == "." {
		id, ok := e.(*ast.Ident)
		return ok && id.Name == name
	}
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// violations returns what in files is against the law, in words.
func violations(files []file) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	seen := map[string]bool{}
	revealed := map[string]bool{}
	for _, f := range files {
		r, listed := law[f.pkg]
		if !listed && !seen[f.pkg] {
			say("%s is not in the law: give it a line in internal/arch/law_test.go", f.pkg)
		}
		if slices.Contains(shapeless, path.Base(f.pkg)) || slices.Contains(shapeless, f.pkgName) {
			say("%s: the name says nothing about what the package is for", f.name)
		}
		seen[f.pkg] = true
		for _, imported := range f.imports {
			if why := forbidden(f, r, listed, imported); why != "" {
				say("%s imports %s: %s", f.name, imported, why)
			}
		}
		if f.actors > 0 && !f.test && !slices.Contains(actorMakers, f.pkg) {
			say("%s makes a store.Actor: only package authn does", f.name)
		}
		if f.reveals > 0 && !f.test {
			revealed[f.name] = true
			if reveals[f.name] == "" {
				say("%s takes a secret out of its wrapper (Reveal), and is not listed as one that has to", f.name)
			}
		}
	}
	for p := range law {
		if !seen[p] {
			say("%s is in the law and does not exist", p)
		}
	}
	for name := range reveals {
		if !revealed[name] {
			say("%s is listed as calling Reveal, and does not", name)
		}
	}
	slices.Sort(out)
	return out
}

// forbidden returns why f may not have that import, "" if it may.
func forbidden(f file, r rule, listed bool, imported string) string {
	for pattern, g := range guarded {
		if matches(imported, pattern) && !slices.Contains(g.packages, f.pkg) && !(f.test && slices.Contains(g.tests, f.pkg)) {
			return "it is guarded"
		}
	}
	own, inModule := strings.CutPrefix(imported, module+"/")
	switch {
	case inModule:
		below := own == "internal/store" || strings.HasPrefix(own, "internal/store/")
		if below && slices.Contains(storeless, f.pkg) {
			return "the hot path does not know of the store"
		}
		if f.test || own == f.pkg || !listed {
			return ""
		}
		if law[own].forTests && !r.forTests {
			return "it is for tests"
		}
		if !r.any && !slices.Contains(r.own, own) {
			return "the law does not allow it"
		}
	case strings.Contains(strings.Split(imported, "/")[0], "."):
		allowed := r.modules
		if f.test {
			allowed = slices.Concat(allowed, testModules, []string{pgx, sqlite, cobra, gjson, uuid})
		}
		if listed && !slices.ContainsFunc(allowed, func(p string) bool { return matches(imported, p) }) {
			return "the law does not allow it"
		}
	}
	return ""
}

// matches reports whether pattern stands for the package p.
func matches(p, pattern string) bool {
	prefix, all := strings.CutSuffix(pattern, "/...")
	return p == prefix || all && strings.HasPrefix(p, prefix+"/")
}
