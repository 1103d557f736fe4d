package clients_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The known answers that the tests of dbcrypt and keyring have, too.
var knownAnswers = []string{"../../internal/store/dbcrypt/testdata/cells.json", "../../internal/keyring/testdata/keys.json"}

// secondOpinion runs the second implementation of the cell format over the known
// answers.
func secondOpinion(t *testing.T, files ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is missing: run scripts/setup node")
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"cells.mjs"}, files...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestCellsByASecondImplementation has the known answers looked at by a program
// that was written from docs/reference/cell-format.md and shares no code with the
// product.
func TestCellsByASecondImplementation(t *testing.T) {
	t.Parallel()
	out, err := secondOpinion(t, knownAnswers...)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
}

// TestTheSecondImplementationFindsWhatIsWrong is the control: one bit flipped in
// every answer, and what is right among what is to be refused.
func TestTheSecondImplementationFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	var cells struct{ Cells, Refused []object }
	var keys struct {
		Rings                 []object
		Refused, Fingerprints []object
	}
	for i, into := range []any{&cells, &keys} {
		b, err := os.ReadFile(knownAnswers[i])
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	flip := func(o object, field string) {
		b, err := hex.DecodeString(o[field].(string))
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 1
		o[field] = hex.EncodeToString(b)
	}
	right := cells.Cells[0]
	cells.Refused = append(cells.Refused, object{
		"name": "one that is right", "data_key": right["data_key"], "digest": right["digest"], "place": right["place"], "cell": right["cell"],
	})
	want = append(want, "refuse one that is right: ")
	for _, c := range cells.Cells {
		flip(c, "cell")
		want = append(want, fmt.Sprintf("open %s: ", c["name"]), fmt.Sprintf("seal %s: differs", c["name"]))
	}
	for _, r := range keys.Rings {
		for _, k := range r["keys"].([]any) {
			flip(k.(object), "wrapped_key")
			name := fmt.Sprintf("%s of %s", k.(object)["purpose"], r["name"])
			want = append(want, "unwrap "+name+": ", "wrap "+name+": differs")
		}
		flip(r, "kek_id")
		want = append(want, fmt.Sprintf("id of %s: differs", r["name"]))
	}
	for _, f := range keys.Fingerprints {
		flip(f, "fingerprint")
		want = append(want, fmt.Sprintf("fingerprint %s: differs", f["name"]))
	}

	dir := t.TempDir()
	var files []string
	for i, from := range []any{
		object{"cells": cells.Cells, "refused": cells.Refused},
		object{"rings": keys.Rings, "refused": keys.Refused, "fingerprints": keys.Fingerprints},
	} {
		b, err := json.Marshal(from)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, fmt.Sprint(i)))
		if err := os.WriteFile(files[i], b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := secondOpinion(t, files...)
	if err == nil {
		t.Error("it ends as if all were well")
	}
	lines := strings.Split(out, "\n")
	for _, w := range want {
		found := false
		for _, l := range lines {
			found = found || strings.HasPrefix(l, w)
		}
		if !found {
			t.Errorf("it does not say %q", w)
		}
	}
	if n := len(lines) - 2; n != len(want) { // the counts, and what follows the last line break
		t.Errorf("it finds %d differences, want %d:\n%s", n, len(want), out)
	}
}
