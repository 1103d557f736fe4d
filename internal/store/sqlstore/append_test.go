package sqlstore

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore/internal/sqlcgen"
)

// BenchmarkAppend compares a change with its entry in the tree and a change with
// a plain row of the audit log: p50 of a transaction, in microseconds.
// GATEHOUSE_TEST_POSTGRES must name a database of its own.
func BenchmarkAppend(b *testing.B) {
	configs := map[string]Config{"sqlite": {Path: filepath.Join(b.TempDir(), "gatehouse.db")}}
	if server := os.Getenv("GATEHOUSE_TEST_POSTGRES"); server != "" {
		if _, err := url.Parse(server); err != nil {
			b.Fatal("the URL of the server cannot be understood")
		}
		configs["postgres"] = Config{URL: secret.New(server)}
	}
	for name, cfg := range configs {
		backend, err := Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := backend.Close(); err != nil {
				b.Error(err)
			}
		})
		entry := store.AuditEntry{
			At: time.Now(), ActorKind: store.ActorUser, ActorName: "ada", Action: rbac.Update, Resource: rbac.User, Count: 1,
			Diff: `{"name":{"old":"` + strings.Repeat("x", 200) + `","new":"y"}}`,
		}
		change := func(ctx context.Context, tx store.Tx) error {
			id := uuid.Must(uuid.NewV7()).String()
			_, err := tx.Users.Insert(ctx, store.User{ID: id, Name: id + "x"})
			return err
		}
		leaf := []byte(strings.Repeat("x", 500))
		plain := int64(1 << 40)
		for what, write := range map[string]func(ctx context.Context, tx store.Tx) error{
			"tree": func(ctx context.Context, tx store.Tx) error { return tx.Audit.Append(ctx, entry) },
			"plain": func(ctx context.Context, tx store.Tx) error {
				plain++
				return tx.Audit.(auditLog).q.InsertAuditLog(ctx, sqlcgen.InsertAuditLogParams{
					EntryIndex: plain, At: entry.At, ActorName: entry.ActorName, Diff: entry.Diff, Occurrences: 1, Leaf: leaf, Hashes: leaf[:32],
				})
			},
		} {
			b.Run(name+"/"+what, func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					start := time.Now()
					_, err := backend.Update(b.Context(), func(tx store.Tx) error {
						if err := change(b.Context(), tx); err != nil {
							return err
						}
						return write(b.Context(), tx)
					})
					if err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			})
		}
	}
}
