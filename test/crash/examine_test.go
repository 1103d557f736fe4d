package crash_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A violation is a kind of promise that was broken.
type violation string

const (
	corrupt       violation = "corrupt"              // it does not open, or is not sound
	lost          violation = "lost"                 // an acknowledged change is not there
	halved        violation = "halved"               // a change is there in part
	unaudited     violation = "unaudited"            // a change without its entry, or an entry without its change
	unproved      violation = "audit does not prove" // the audit log does not agree with its checkpoint
	undecryptable violation = "undecryptable"        // a stored secret does not open to what was stored
)

var violations = []violation{corrupt, lost, halved, unaudited, unproved, undecryptable}

// A breach is a violation in words.
type breach struct {
	kind violation
	why  string
}

func breachf(kind violation, format string, args ...any) *breach {
	return &breach{kind, fmt.Sprintf(format, args...)}
}

// examine opens what a crash left in dir, as a server would, and returns the
// first promise that is broken, nil if none is. acked is how many of the changes
// that made images had been acknowledged.
func examine(ctx context.Context, dir string, kek keyring.KEK, images []image, acked int) (found *breach) {
	h, err := openHouse(ctx, dir, kek, time.Now, nil)
	if err != nil {
		return breachf(corrupt, "open: %v", err)
	}
	defer func() {
		if err := h.backend.Close(); err != nil && found == nil {
			found = breachf(corrupt, "close: %v", err)
		}
	}()
	if err := sound(ctx, dir); err != nil {
		return breachf(corrupt, "%v", err)
	}
	img, err := imageOf(ctx, h.backend)
	if err != nil {
		return breachf(corrupt, "read: %v", err)
	}
	if h.fresh {
		if acked > 0 {
			return breachf(lost, "of %d acknowledged changes, none is there", acked)
		}
		return proved(ctx, h, nil)
	}
	i, b := whichImage(img, images, acked)
	if b != nil {
		return b
	}
	// What retention removed is accounted for by a checkpoint from afterwards.
	checkpoints := []auditlog.Checkpoint{images[i].log}
	if acked > 0 {
		checkpoints = append(checkpoints, images[acked-1].log)
	}
	if b := proved(ctx, h, checkpoints); b != nil {
		return b
	}
	if b := opens(ctx, h, images[i].held); b != nil {
		return b
	}
	if err := referred(ctx, dir); err != nil {
		return breachf(corrupt, "%v", err)
	}
	return serves(ctx, h)
}

// sound asks SQLite whether its file is whole.
func sound(ctx context.Context, dir string) error {
	return ask(dir, func(db *sql.DB) error {
		var answer string
		if err := db.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&answer); err != nil || answer != "ok" {
			return fmt.Errorf("integrity_check: %s, %v", answer, err)
		}
		return nil
	})
}

// referred asks SQLite whether every foreign key leads somewhere.
func referred(ctx context.Context, dir string) error {
	return ask(dir, func(db *sql.DB) error {
		var answer string
		err := db.QueryRowContext(ctx, "SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1").Scan(&answer)
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("foreign_key_check: %s, %v", answer, err)
		}
		return nil
	})
}

func ask(dir string, question func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, datadir.Database))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	return errors.Join(question(db), db.Close())
}

// whichImage returns which of the images it is that was found: the last one that
// was acknowledged, or the one after it, which was in flight.
func whichImage(found image, images []image, acked int) (int, *breach) {
	is := func(i int) bool { return found.rows == images[i].rows && found.log == images[i].log }
	for _, i := range []int{acked - 1, acked} {
		if i >= 0 && i < len(images) && is(i) {
			return i, nil
		}
	}
	for i := range acked {
		if is(i) {
			return 0, breachf(lost, "of %d acknowledged changes, %d are there", acked, i+1)
		}
	}
	sameRows := slices.IndexFunc(images, func(m image) bool { return m.rows == found.rows })
	sameLog := slices.IndexFunc(images, func(m image) bool { return m.log == found.log })
	switch {
	case sameRows < 0:
		return 0, breachf(halved, "the rows are those of no moment; the audit log has %d entries", found.log.Size)
	case sameLog < 0:
		return 0, breachf(unproved, "the audit log is that of no moment")
	}
	return 0, breachf(unaudited, "the rows are those after change %d, the audit log is that after change %d", sameRows+1, sameLog+1)
}

// proved verifies the audit log against checkpoints.
func proved(ctx context.Context, h *house, checkpoints []auditlog.Checkpoint) *breach {
	var report auditlog.Report
	err := h.View(ctx, authn.Verifier, func(tx store.Tx) (err error) {
		report, err = auditlog.Verify(ctx, auditlog.Origin(h.backend.Installation()), tx.Audit, checkpoints)
		return err
	})
	switch {
	case err != nil:
		return breachf(unproved, "read the audit log: %v", err)
	case report.Found > 0:
		return breachf(unproved, "%+v", report.Findings)
	case len(checkpoints) > 0 && report.Covered != checkpoints[0].Size:
		return breachf(unproved, "the checkpoint of %d entries covers %d", checkpoints[0].Size, report.Covered)
	}
	return nil
}

// opens opens every secret that is stored, and compares them with those that
// should be.
func opens(ctx context.Context, h *house, held map[string]string) (b *breach) {
	err := h.View(ctx, authn.Compiler, func(tx store.Tx) error {
		providers, err := tx.Providers.List(ctx, store.Query{IncludeDisabled: true, IncludeDeleted: true})
		if err != nil {
			return err
		}
		keys, err := tx.ProviderKeys.List(ctx, store.Query{})
		if err != nil {
			return err
		}
		var recs []store.Sealed
		for i := range providers {
			recs = append(recs, &providers[i])
		}
		for i := range keys {
			recs = append(recs, &keys[i])
		}
		found := 0
		for _, rec := range recs {
			secrets, err := tx.Secrets.Open(ctx, rec)
			if err != nil {
				b = breachf(undecryptable, "%s: %v", rec.Ref().Resource, err)
				return nil
			}
			for column, value := range secrets {
				if value.IsZero() {
					continue
				}
				found++
				want := held[rec.Ref().ID]
				if got := value.Reveal(); got != want && !sameDocument(got, want) {
					b = breachf(undecryptable, "%s of %s opens to something else than was stored", column, rec.Ref().Resource)
					return nil
				}
			}
		}
		if found != len(held) {
			b = breachf(undecryptable, "%d secrets are stored, and %d should be", found, len(held))
		}
		return nil
	})
	if err != nil && b == nil {
		b = breachf(corrupt, "open the secrets: %v", err)
	}
	return b
}

// serves holds that changes can be made again.
func serves(ctx context.Context, h *house) *breach {
	entry := store.AuditEntry{At: time.Now(), ActorKind: store.ActorAnonymous, Action: rbac.Read, Resource: rbac.AIProvider, Count: 1, Diff: "{}"}
	err := h.Update(ctx, authn.Recorder, func(tx store.Tx) error { return tx.Audit.Observe(ctx, []store.AuditEntry{entry}) })
	if err != nil {
		return breachf(corrupt, "make a change: %v", err)
	}
	return nil
}

// members returns what is in a settings document, and document is its inverse.
func members(doc string) (m map[string]any, err error) {
	err = json.Unmarshal([]byte(doc), &m)
	return m, err
}

func document(m map[string]any) string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(b)
}

// sameDocument reports whether both are documents, and say the same.
func sameDocument(a, b string) bool {
	x, err := members(a)
	y, errY := members(b)
	return err == nil && errY == nil && reflect.DeepEqual(x, y)
}
