package arch_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheLawHolds(t *testing.T) {
	t.Parallel()
	files := readModule(t, "../..")
	if len(files) < 100 {
		t.Fatalf("read only %d files: is this the module?", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

// TestBreachesAreFound is the control: each breach, alone in a module that is
// otherwise lawful, must be found by name.
func TestBreachesAreFound(t *testing.T) {
	t.Parallel()
	const storeImport = "package p\nimport \"" + module + "/internal/store\"\n"
	tests := map[string]struct{ name, src, want string }{
		"a package that is not listed":         {"internal/newcomer/n.go", "package newcomer", "internal/newcomer is not in the law"},
		"a name that says nothing":             {"internal/util/u.go", "package util", "the name says nothing"},
		"a package clause that says nothing":   {"internal/token/helpers.go", "package helpers", "the name says nothing"},
		"a leaf that imports":                  {"internal/secret/x.go", "package secret\nimport _ \"" + module + "/internal/rbac\"", "x.go imports " + module + "/internal/rbac"},
		"a layer that knows another":           {"internal/store/dbaudit/x.go", "package dbaudit\nimport _ \"" + module + "/internal/store/dbcrypt\"", "the law does not allow it"},
		"SQL outside the backend":              {"internal/httpapi/x.go", "package httpapi\nimport _ \"database/sql\"", "database/sql: it is guarded"},
		"SQL in a test outside the backend":    {"internal/httpapi/x_test.go", "package httpapi\nimport _ \"database/sql\"", "database/sql: it is guarded"},
		"SQL where only tests may have it":     {"internal/app/x.go", "package app\nimport _ \"database/sql\"", "database/sql: it is guarded"},
		"a driver outside the backend":         {"internal/app/x.go", "package app\nimport _ \"github.com/jackc/pgx/v5/stdlib\"", "pgx/v5/stdlib: it is guarded"},
		"the hot path and the store":           {"internal/gateway/x.go", storeImport, "the hot path does not know of the store"},
		"the hot path's test and the store":    {"internal/keypool/x_test.go", storeImport, "the hot path does not know of the store"},
		"the hot path and the backend":         {"internal/upstream/x.go", "package upstream\nimport _ \"" + module + "/internal/store/sqlstore\"", "the hot path does not know of the store"},
		"the command line and the store":       {"internal/cli/x.go", storeImport, "the law does not allow it"},
		"authorisation in the API":             {"internal/httpapi/x.go", "package httpapi\nimport _ \"" + module + "/internal/rbac\"", "the law does not allow it"},
		"a module that is not allowed":         {"internal/rbac/x.go", "package rbac\nimport _ \"github.com/google/uuid\"", "the law does not allow it"},
		"a module that nobody asked for":       {"internal/rbac/x_test.go", "package rbac\nimport _ \"example.com/assert\"", "the law does not allow it"},
		"a test's package in the product":      {"internal/app/x.go", "package app\nimport _ \"" + module + "/internal/store/dbgen\"", "it is for tests"},
		"a program that runs another":          {"internal/app/x.go", "package app\nimport _ \"os/exec\"", "os/exec: it is guarded"},
		"memory by its address":                {"internal/store/sqlstore/x.go", "package sqlstore\nimport _ \"unsafe\"", "unsafe: it is guarded"},
		"memory by its address beside tests":   {"test/crash/x.go", "package crash\nimport _ \"unsafe\"", "unsafe: it is guarded"},
		"a program run beside its package":     {"internal/keyring/x.go", "package keyring\nimport _ \"os/exec\"", "os/exec: it is guarded"},
		"a cloud's SDK beside its package":     {"internal/keyring/x.go", "package keyring\nimport _ \"github.com/aws/aws-sdk-go-v2/service/kms\"", "service/kms: it is guarded"},
		"an actor made in a handler":           {"internal/httpapi/x.go", storeImport + "var _ = store.Actor{Kind: \"user\"}", "x.go makes a store.Actor"},
		"an actor made under another name":     {"internal/httpapi/x.go", "package p\nimport s \"" + module + "/internal/store\"\nvar _ = &s.Actor{ID: \"1\"}", "x.go makes a store.Actor"},
		"an actor made in the store itself":    {"internal/store/x.go", "package store\nvar _ = Actor{ID: \"1\"}", "x.go makes a store.Actor"},
		"a secret taken out in a new place":    {"internal/httpapi/x.go", "package httpapi\nfunc f(s interface{ Reveal() string }) string { return s.Reveal() }", "x.go takes a secret out"},
		"a secret taken out without the call":  {"internal/httpapi/x.go", "package httpapi\nfunc f(s interface{ Reveal() string }) func() string { return s.Reveal }", "x.go takes a secret out"},
		"a test's package imported by no test": {"internal/config/x.go", "package config\nimport _ \"" + module + "/client/clienttest\"", "it is for tests"},
	}
	lawful := lawfulModule(t)
	if v := violations(lawful); len(v) > 0 {
		t.Fatalf("a lawful module is refused: %q", v)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := parse(tt.name, []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			got := violations(append(slices.Clone(lawful), f))
			if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, tt.want) }) {
				t.Errorf("got %q, want one with %q", got, tt.want)
			}
		})
	}
}

// TestStaleLinesAreFound keeps the lists from allowing what is not there.
func TestStaleLinesAreFound(t *testing.T) {
	t.Parallel()
	got := violations(nil)
	for _, want := range []string{
		"internal/rbac is in the law and does not exist",
		"internal/upstream/upstream.go is listed as calling Reveal, and does not",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWhatIsAllowed is the other half of the control: a law that refuses
// everything would find every breach.
func TestWhatIsAllowed(t *testing.T) {
	t.Parallel()
	lawful := lawfulModule(t)
	for name, tt := range map[string]struct{ name, src string }{
		"an actor in a test":          {"internal/httpapi/x_test.go", "package p\nimport \"" + module + "/internal/store\"\nvar _ = store.Actor{ID: \"1\"}"},
		"the actor that is nobody":    {"internal/httpapi/x.go", "package p\nimport \"" + module + "/internal/store\"\nvar _ = store.Actor{}"},
		"another package's Actor":     {"internal/httpapi/x.go", "package p\nimport \"" + module + "/client\"\nvar _ = client.Actor{ID: \"1\"}"},
		"a test and its module":       {"internal/rbac/x_test.go", "package rbac\nimport _ \"pgregory.net/rapid\""},
		"a test and its test store":   {"internal/httpapi/x_test.go", "package httpapi\nimport _ \"" + module + "/internal/store/storetest\""},
		"SQL where tests may have it": {"internal/app/x_test.go", "package app\nimport _ \"database/sql\""},
		"routing and the store":       {"internal/routing/x.go", "package routing\nimport _ \"" + module + "/internal/store\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := parse(tt.name, []byte(tt.src))
			if err != nil {
				t.Fatal(err)
			}
			if got := violations(append(slices.Clone(lawful), f)); len(got) > 0 {
				t.Errorf("refused: %q", got)
			}
		})
	}
}

// lawfulModule is the least module that the law has nothing to say about.
func lawfulModule(t *testing.T) []file {
	t.Helper()
	var files []file
	for p := range law {
		files = append(files, file{name: p + "/lawful.go", pkg: p, pkgName: "lawful"})
	}
	for name := range reveals {
		if _, err := os.Stat("../../" + name); err != nil {
			t.Errorf("%s is listed as calling Reveal: %v", name, err)
		}
		f, err := parse(name, []byte("package lawful\nfunc f(s interface{ Reveal() string }) string { return s.Reveal() }"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
