package clienttest

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// Installation is the name of the installation that every Server is.
const Installation = "00000000-0000-7000-8000-0000000000ff"

// encryption is what a Server has of data keys.
type encryption struct {
	keys     []client.EncryptionKey
	replicas []client.Replica
	rotation []client.Rotation // the first is now
	steps    []client.Rotation // of the next rotation
	mode     string            // of the one under way
	findings []client.EncryptionFinding
	// interruptions are for the next who look at a rotation: a status, 0 for a
	// connection that is cut.
	interruptions []int
}

// kek is the id of a key-encrypting key that is kept in a file.
const kek = "00112233445566778899aabbccddeeff"

func newEncryption() encryption {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := encryption{
		replicas: []client.Replica{{
			ID: "00000000-0000-7000-8000-0000000000ee", Name: "gate-1", Version: "0.0.0-test", KeyEpoch: 1, KEKs: []string{kek}, Started: made, Seen: made,
		}},
	}
	for i, purpose := range []string{"seal", "fingerprint", "sign"} {
		k := client.EncryptionKey{
			Number: int64(i + 1), Digest: fmt.Sprintf("%064d", i+1), Purpose: purpose, State: "active", KEK: kek, CreatedAt: made, PromotedAt: &made,
		}
		if purpose == "seal" {
			k.State, k.Secrets = "primary", 4
		}
		e.keys = append(e.keys, k)
	}
	e.rotation = []client.Rotation{{Installation: Installation, State: "idle", Secrets: 4, Done: 4, KeyEpoch: 1}}
	e.steps = []client.Rotation{{State: "distributing", Secrets: 4}, {State: "resealing", Secrets: 4}, {State: "resealing", Secrets: 4, Done: 3}, {State: "idle", Secrets: 4, Done: 4}}
	return e
}

// SetRotation sets the steps that the next rotation goes through once it was
// requested. The last stays.
func (s *Server) SetRotation(steps ...client.Rotation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crypt.steps = steps
}

// InterruptRotation has those who look at a rotation next answered with these
// statuses, one each; 0 cuts the connection.
func (s *Server) InterruptRotation(statuses ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crypt.interruptions = statuses
}

// SetFindings sets what verifying the secrets finds.
func (s *Server) SetFindings(findings ...client.EncryptionFinding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crypt.findings = findings
}

func (s *Server) getRotation(c *call) {
	e := &s.crypt
	if len(e.interruptions) > 0 && e.rotation[0].State != "idle" {
		status := e.interruptions[0]
		e.interruptions = e.interruptions[1:]
		if status == 0 {
			panic(http.ErrAbortHandler) // which net/http takes as the wish to cut it
		}
		c.problem(status, "the server is starting")
		return
	}
	if len(e.rotation) > 1 {
		e.rotation = e.rotation[1:]
		if e.rotation[0].State == "idle" && e.mode == "full" {
			s.rotated()
		}
	}
	c.answer(http.StatusOK, e.rotation[0])
}

func (s *Server) rotate(c *call) {
	var req client.Rotate
	if !c.decode(&req) {
		return
	}
	if req.Mode != "full" && req.Mode != "rewrap" {
		c.invalid("body.mode", "must be one of full, rewrap")
		return
	}
	e := &s.crypt
	if now := e.rotation[0]; now.State == "idle" {
		e.mode = req.Mode
		begun := now
		begun.State, begun.Requested = "requested", req.Mode
		e.rotation = []client.Rotation{begun}
		for _, step := range e.steps {
			step.Installation, step.KeyEpoch = Installation, now.KeyEpoch+1
			e.rotation = append(e.rotation, step)
		}
		s.record(c, "rotate", "encryption_key", e.keys[0].Digest, "1", map[string]any{"rotation": change{"", req.Mode}})
	}
	c.answer(http.StatusAccepted, e.rotation[0])
}

// rotated puts a new data key in the place of the primary one.
func (s *Server) rotated() {
	e := &s.crypt
	i := slices.IndexFunc(e.keys, func(k client.EncryptionKey) bool { return k.State == "primary" })
	old, n, at := &e.keys[i], len(e.keys)+1, now()
	fresh := client.EncryptionKey{
		Number: int64(n), Digest: fmt.Sprintf("%064d", n), Purpose: "seal", State: "primary", KEK: kek, Secrets: old.Secrets, CreatedAt: at, PromotedAt: &at,
	}
	old.State, old.Secrets, old.RetiredAt = "retired", 0, &at
	e.keys = append(e.keys, fresh)
	for i := range e.replicas {
		e.replicas[i].KeyEpoch = e.rotation[0].KeyEpoch
	}
}

func (s *Server) verifyEncryption(c *call) {
	if !c.decode(&struct{}{}) {
		return
	}
	c.answer(http.StatusOK, client.EncryptionReport{Secrets: 4, Findings: append([]client.EncryptionFinding{}, s.crypt.findings...)})
}

func (s *Server) wipe(c *call) {
	var req client.Wipe
	if !c.decode(&req) {
		return
	}
	if req.Installation != Installation {
		c.invalid("body.installation", "is not the name of this installation")
		return
	}
	out := client.Wiped{Removed: []client.EncryptionFinding{}}
	s.crypt.findings = slices.DeleteFunc(s.crypt.findings, func(f client.EncryptionFinding) bool {
		if f.Problem != "unreadable" {
			return false
		}
		f.Detail = "removed"
		out.Removed = append(out.Removed, f)
		s.record(c, "delete", f.Resource, f.ID, f.Target, map[string]any{})
		return true
	})
	c.answer(http.StatusOK, out)
}
