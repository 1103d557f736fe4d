// Package arch holds the law of imports as a test: which package may know of
// which, and where in the code the few dangerous things may stand.
//
// It reads the source of the whole module, tests and all platforms included,
// and fails for a package that the law does not list. To add a package, give it
// a line in law_test.go; to let one package know of another, write it there and
// say in the change why. docs/ARCHITECTURE.md has the picture.
package arch
