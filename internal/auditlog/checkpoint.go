package auditlog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A Checkpoint says what the log of an installation was when it had Size
// entries.
type Checkpoint struct {
	Origin string // which log: "gatehouse/audit/" and the id of the installation
	Size   int64
	Root   tlog.Hash
}

// text is the form of https://c2sp.org/tlog-checkpoint.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

func parseCheckpoint(text string) (Checkpoint, error) {
	bad := errors.New("this is not a checkpoint of an audit log")
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, bad
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || rootErr != nil || size < 0 || len(root) != tlog.HashSize {
		return Checkpoint{}, bad
	}
	c := Checkpoint{lines[0], size, tlog.Hash(root)}
	if c.text() != text {
		return Checkpoint{}, bad
	}
	return c, nil
}

// Origin returns the name of the log of an installation.
func Origin(installation string) string { return "gatehouse/audit/" + installation }

// A Signer signs the checkpoints of one log, with Ed25519.
type Signer struct {
	origin string
	signer note.Signer
	key    string
}

// NewSigner returns the signer of an installation's log whose key is made from
// a seed of 32 bytes.
func NewSigner(installation string, seed secret.Text) (*Signer, error) {
	raw := []byte(seed.Reveal())
	if len(raw) != ed25519.SeedSize {
		return nil, fmt.Errorf("the key for signing checkpoints has %d bytes, not %d", len(raw), ed25519.SeedSize)
	}
	s := &Signer{origin: Origin(installation)}
	public, ok := ed25519.NewKeyFromSeed(raw).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("ed25519 gave a public key of another type")
	}
	var err error
	if s.key, err = note.NewEd25519VerifierKey(s.origin, public); err != nil {
		return nil, err
	}
	hash := strings.Split(s.key, "+")[1]
	const algorithm = "\x01" // Ed25519, as package note encodes it
	s.signer, err = note.NewSigner(strings.Join([]string{"PRIVATE", "KEY", s.origin, hash, base64.StdEncoding.EncodeToString([]byte(algorithm + string(raw)))}, "+"))
	if err != nil {
		return nil, errors.New("the key for signing checkpoints cannot be used") // the error of package note may show it
	}
	return s, nil
}

// VerifierKey returns what it takes to verify the signatures, in the form of
// package note: "ORIGIN+HASH+KEY". It is public.
func (s *Signer) VerifierKey() string { return s.key }

// Sign returns the signed checkpoint of the log at a head.
func (s *Signer) Sign(h Head) (string, error) {
	c := Checkpoint{s.origin, h.Size, h.Root()}
	b, err := note.Sign(&note.Note{Text: c.text()}, s.signer)
	return string(b), err
}

// OpenCheckpoint verifies a signed checkpoint.
func OpenCheckpoint(signed, verifierKey string) (Checkpoint, error) {
	v, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Checkpoint{}, errors.New("this is not a key for verifying checkpoints; it looks like gatehouse/audit/…+…+…")
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, errors.New("the signature of the checkpoint is not by the key that it should be by")
	}
	c, err := parseCheckpoint(n.Text)
	if err == nil && c.Origin != v.Name() {
		err = errors.New("the checkpoint is of another log than its key")
	}
	return c, err
}

// A Published checkpoint is what leaves the database: one line of JSON.
type Published struct {
	Time       time.Time `json:"time"`
	Checkpoint string    `json:"audit_checkpoint"`
	Key        string    `json:"key"` // that verifies it
}

// ReadPublished returns the checkpoints of a file that a server published them
// to, in the order of the file; a line that was cut is left out, and so are
// lines that are something else, as in a log. If key is not empty, all must be
// signed by it. Every signature is verified.
func ReadPublished(content []byte, key string) ([]Checkpoint, error) {
	var out []Checkpoint
	for line := range bytes.Lines(content) {
		var p Published
		if json.Unmarshal(line, &p) != nil || p.Checkpoint == "" {
			continue
		}
		if key != "" && p.Key != key {
			return nil, errors.New("a checkpoint is signed by another key than the one that was given")
		}
		c, err := OpenCheckpoint(p.Checkpoint, p.Key)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
