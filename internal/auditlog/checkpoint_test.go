package auditlog_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// signed returns a checkpoint of the log m, and the key that verifies it.
func (m *memory) signed(t testing.TB, key *auditlog.Signer) string {
	t.Helper()
	head, err := auditlog.ParseHead(m.head.Size, m.head.Edge)
	if err != nil {
		t.Fatal(err)
	}
	s, err := key.Sign(head)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestACheckpointIsTheDocumentedForm compares with a checkpoint that was kept,
// and verifies that by hand: by https://c2sp.org/signed-note and by RFC 6962,
// without package note.
func TestACheckpointIsTheDocumentedForm(t *testing.T) {
	t.Parallel()
	kept, err := os.ReadFile("testdata/checkpoint.txt")
	if err != nil {
		t.Fatal(err)
	}
	m, key := newMemory(t, 3), newSigner(t, 1)
	if diff := cmp.Diff(m.signed(t, key), string(kept)); diff != "" {
		t.Fatal(diff)
	}

	leaf := func(i int) [32]byte { return sha256.Sum256(append([]byte{0}, m.rows[i].Leaf...)) }
	node := func(l, r [32]byte) [32]byte { return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...)) }
	root := node(node(leaf(0), leaf(1)), leaf(2))
	origin := "gatehouse/audit/" + logID
	text := origin + "\n3\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"
	line, ok := strings.CutPrefix(string(kept), text+"\n— "+origin+" ")
	if !ok {
		t.Fatalf("%s does not begin with %s", kept, text)
	}
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
	if err != nil || len(sig) != 4+ed25519.SignatureSize {
		t.Fatalf("signature of %d bytes: %v", len(sig), err)
	}
	raw := sha256.Sum256([]byte("test key 1"))
	public := ed25519.NewKeyFromSeed(raw[:]).Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, []byte(text), sig[4:]) {
		t.Error("the signature is not by the key made from the seed")
	}
	id := sha256.Sum256(append([]byte(origin+"\n\x01"), public...))
	if got, want := binary.BigEndian.Uint32(sig), binary.BigEndian.Uint32(id[:]); got != want {
		t.Errorf("got key id %08x, want %08x", got, want)
	}
	want := fmt.Sprintf("%s+%08x+%s", origin, id[:4], base64.StdEncoding.EncodeToString(append([]byte{1}, public...)))
	if got := key.VerifierKey(); got != want {
		t.Errorf("got verifier key %s, want %s", got, want)
	}
}

// TestNoByteOfACheckpointCanBeChanged changes each to a few others. What is
// still taken must say the same.
func TestNoByteOfACheckpointCanBeChanged(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, 12), newSigner(t, 1)
	s := m.signed(t, key)
	want, err := auditlog.OpenCheckpoint(s, key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for i := range s {
		for _, x := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			b := []byte(s)
			b[i] ^= x
			if got, err := auditlog.OpenCheckpoint(string(b), key.VerifierKey()); err == nil && got != want {
				t.Errorf("byte %d: %q is taken for %+v", i, b, got)
			}
		}
		if got, err := auditlog.OpenCheckpoint(s[:i], key.VerifierKey()); err == nil {
			t.Errorf("cut at %d: is taken for %+v", i, got)
		}
	}
}

func TestACheckpointOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	m, key := newMemory(t, 12), newSigner(t, 1)
	elsewhere, err := auditlog.NewSigner("another", testSeed(1))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ signed, key string }{
		"by another key":              {m.signed(t, newSigner(t, 2)), key.VerifierKey()},
		"of another log, by the same": {m.signed(t, elsewhere), key.VerifierKey()},
		"no key":                      {m.signed(t, key), ""},
		"nothing":                     {"", key.VerifierKey()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c, err := auditlog.OpenCheckpoint(tt.signed, tt.key); err == nil {
				t.Errorf("got %+v, want an error", c)
			}
		})
	}
}

// TestASignatureIsForItsOwnLog: what the right key signs of another log is not
// taken.
func TestASignatureIsForItsOwnLog(t *testing.T) {
	t.Parallel()
	key := newSigner(t, 1)
	parts := strings.Split(key.VerifierKey(), "+")
	private := base64.StdEncoding.EncodeToString([]byte("\x01" + testSeed(1).Reveal()))
	by, err := note.NewSigner("PRIVATE+KEY+" + parts[0] + "+" + parts[1] + "+" + private)
	if err != nil {
		t.Fatal(err)
	}
	root := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for text, want := range map[string]bool{
		parts[0] + "\n3\n" + root + "\n":           true,
		"gatehouse/audit/other\n3\n" + root + "\n": false,
		parts[0] + "\n-3\n" + root + "\n":          false,
		parts[0] + "\n03\n" + root + "\n":          false,
		parts[0] + "\n3\n" + root[4:] + "\n":       false,
		parts[0] + "\n3\n" + root + "\nmore\n":     false,
		parts[0] + "\n3\n":                         false,
	} {
		signed, err := note.Sign(&note.Note{Text: text}, by)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := auditlog.OpenCheckpoint(string(signed), key.VerifierKey()); (err == nil) != want {
			t.Errorf("%q: got %+v (%v), want it taken: %v", text, c, err, want)
		}
	}
}

func TestASeedIsInNoError(t *testing.T) {
	t.Parallel()
	canary := strings.Repeat("canary..", 4)
	for name, tt := range map[string]struct{ log, seed string }{
		"too short":          {logID, canary[:31]},
		"too long":           {logID, canary + "."},
		"a name with a plus": {"a+b", canary},
		"a name with spaces": {"a b", canary},
	} {
		_, err := auditlog.NewSigner(tt.log, secret.New(tt.seed))
		if err == nil {
			t.Errorf("%s: got no error", name)
			continue
		}
		if said := err.Error(); strings.Contains(said, canary[:8]) || strings.Contains(said, base64.StdEncoding.EncodeToString([]byte(canary))[:8]) {
			t.Errorf("%s: the error shows the seed: %s", name, said)
		}
	}
}

func TestReadPublished(t *testing.T) {
	t.Parallel()
	key, other := newSigner(t, 1), newSigner(t, 2)
	line := func(size int64, by *auditlog.Signer, as string) string {
		b, err := json.Marshal(auditlog.Published{Time: noon, Checkpoint: newMemory(t, size).signed(t, by), Key: as})
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	one, two := line(1, key, key.VerifierKey()), line(2, key, key.VerifierKey())
	tests := map[string]struct {
		content, key string
		want         []int64 // sizes; nil is an error
	}{
		"two":                              {one + two, "", []int64{1, 2}},
		"two by the key that was pinned":   {one + two, key.VerifierKey(), []int64{1, 2}},
		"with what a log has besides":      {"starting\n{\"level\":\"INFO\"}\n\n" + one + "null\n" + two, "", []int64{1, 2}},
		"the last one is cut":              {one + two[:len(two)/2], "", []int64{1}},
		"one in the middle is cut":         {one[:len(one)/2] + "\n" + two, "", []int64{2}},
		"by another key than was pinned":   {one + line(2, other, other.VerifierKey()), key.VerifierKey(), nil},
		"by another key than stands there": {line(2, other, key.VerifierKey()), "", nil},
		"nothing":                          {"", "", []int64{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := auditlog.ReadPublished([]byte(tt.content), tt.key)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("got %v, want an error: %v", err, tt.want == nil)
			}
			sizes := []int64{}
			for _, c := range got {
				sizes = append(sizes, c.Size)
			}
			if diff := cmp.Diff(sizes, tt.want); tt.want != nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPublishedIsTheDocumentedForm holds the names that scripts look for.
func TestPublishedIsTheDocumentedForm(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(auditlog.Published{Time: noon.Truncate(time.Second), Checkpoint: "c\n", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"time":"2030-01-01T12:00:00Z","audit_checkpoint":"c\n","key":"k"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	key := newSigner(f, 1)
	f.Add(newMemory(f, 3).signed(f, key))
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := auditlog.OpenCheckpoint(text, key.VerifierKey()); err == nil && (c.Size != 3 || c.Origin != auditlog.Origin(logID)) {
			t.Errorf("%q is taken for %+v, which was never signed", text, c)
		}
	})
}
