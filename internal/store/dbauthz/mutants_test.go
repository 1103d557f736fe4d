package dbauthz_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var mutants = flag.Int("mutants", 2, "how many checks to take out, at random; 0 is every one")

// checks are what a check looks like in the source: what decides, or refuses.
var checks = []string{
	"reach(", "Scope(", "everywhere(", "someEverywhere(", "allowed(", "within(", "validScopes(", "mayWiden(", "unjudged(", "owns(", "holds(",
	"DeniedError", "InvalidError", "ConflictError", "ErrNotFound", "errUnjudged", "unknown",
}

// A mutant is the package with one check taken out.
type mutant struct {
	file, what string
	source     []byte
}

// breed returns a mutant for each check of a file: an if that refuses never does.
func breed(t *testing.T, file string) (all []mutant) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sites := 0
	for site := 0; site == 0 || site < sites; site++ {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		ast.Inspect(f, func(node ast.Node) bool {
			s, ok := node.(*ast.IfStmt)
			if !ok || !refuses(set, s, src) {
				return true
			}
			if n == site {
				pos := set.Position(s.Pos())
				text := string(src[set.Position(s.Cond.Pos()).Offset:set.Position(s.Cond.End()).Offset])
				s.Cond = &ast.BinaryExpr{X: &ast.ParenExpr{X: s.Cond}, Op: token.LAND, Y: ast.NewIdent("never")}
				var out bytes.Buffer
				if err := format.Node(&out, set, f); err != nil {
					t.Fatal(err)
				}
				out.WriteString("\nvar never = false\n")
				all = append(all, mutant{file, fmt.Sprintf("%s:%d if %s", file, pos.Line, text), out.Bytes()})
			}
			n++
			return true
		})
		sites = n
	}
	return all
}

// refuses reports whether s is a check: it returns early, and it or the line
// before it has to do with a decision.
func refuses(set *token.FileSet, s *ast.IfStmt, src []byte) bool {
	if len(s.Body.List) == 0 {
		return false
	}
	if _, ok := s.Body.List[len(s.Body.List)-1].(*ast.ReturnStmt); !ok {
		return false
	}
	from := set.Position(s.Pos()).Offset
	line := bytes.LastIndexByte(src[:from], '\n')
	before := bytes.LastIndexByte(src[:max(line, 0)], '\n')
	text := string(src[before+1 : set.Position(s.End()).Offset])
	if strings.Contains(text, "return nil\n") || strings.Contains(text, "return r == rbac.All") {
		return false // it lets through
	}
	for _, c := range checks {
		if strings.Contains(text, c) {
			return true
		}
	}
	return false
}

// TestNoCheckIsNeedless takes out the checks of this package, one at a time, and
// runs the tests that need no database: each time one of them must fail.
func TestNoCheckIsNeedless(t *testing.T) {
	t.Parallel()
	var all []mutant
	for _, file := range []string{"dbauthz.go", "delegate.go", "interceptions.go"} {
		all = append(all, breed(t, file)...)
	}
	if len(all) < 25 {
		t.Fatalf("only %d checks are found", len(all))
	}
	chosen := all
	if *mutants > 0 {
		seed := uint64(time.Now().UnixNano())
		t.Logf("%d of %d checks, by seed %d", *mutants, len(all), seed)
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		chosen = all[:*mutants]
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range chosen {
		if out, err := run(t, wd, m); err == nil {
			t.Errorf("%s: without it no test fails", m.what)
		} else if !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic:")) {
			t.Errorf("%s: the mutant cannot be tested: %v\n%s", m.what, err, out)
		}
	}
	t.Logf("%d checks were taken out", len(chosen))
}

// run runs the tests of a mutant.
func run(t *testing.T, wd string, m mutant) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, m.file)
	if err := os.WriteFile(file, m.source, 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(wd, m.file): file}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-overlay", list, "-count=1", "-timeout=2m",
		"-run", "^(TestDelegation|TestCeiling.*|TestEveryOperationAsEverybody|TestNobody.*|TestWhoMayDoWhat|TestNoHistoryMakes.*|TestRecordsOfOthers|TestInterceptionsOfOthers|TestRolesOfLater.*|TestNoDecision.*)$", ".", "-args", "-histories=500")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out, err
}
