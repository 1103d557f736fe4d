package scale_test

import (
	"bytes"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

var entryCount = flag.Int("entries", 1000, "how many audit entries to make")

// fill writes audit entries as they are in a year of use: a few people, many
// targets, a request id of its own each.
func fill(t *testing.T, in *installation) {
	t.Helper()
	const batch = 5000
	actions := []rbac.Action{rbac.Update, rbac.Create, rbac.Delete, rbac.Update, rbac.Open}
	resources := []rbac.Resource{rbac.AIProvider, rbac.AIProviderKey, rbac.AIProviderKey, rbac.User, rbac.APIKey}
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for from := 0; from < *entryCount; from += batch {
		var entries []store.AuditEntry
		for i := from; i < min(from+batch, *entryCount); i++ {
			e := store.AuditEntry{
				At: start.Add(time.Duration(i) * time.Second), ActorKind: store.ActorUser, ActorID: fmt.Sprintf("user-%02d", i%50), ActorName: fmt.Sprintf("person-%02d", i%50),
				TokenID: dbgen.ID(), TokenName: "laptop", Action: actions[i%5], Resource: resources[(i/5)%5], ID: dbgen.ID(), Target: name(i % 10_000), Count: 1,
				Origin: store.Origin{RequestID: dbgen.ID(), Address: "192.0.2.1", UserAgent: "gatehouse/1.0"},
				Diff:   `{"enabled":{"old":true,"new":false},"display_name":{"old":"A provider","new":"Another provider"}}`,
			}
			if i == *entryCount/3 {
				e.ActorName, e.Action, e.Target = "rare-person", rbac.LoginFailed, "rare-target"
			}
			entries = append(entries, e)
		}
		if err := in.Update(t.Context(), authn.Recorder, func(tx store.Tx) error { return tx.Audit.Observe(t.Context(), entries) }); err != nil {
			t.Fatal(err)
		}
	}
	if in.Postgres {
		if _, err := in.Raw.ExecContext(t.Context(), "ANALYZE"); err != nil {
			t.Fatal(err)
		}
	}
}

// installEmpty returns an installation without providers.
func installEmpty(t *testing.T, cfg sqlstore.Config) *installation {
	t.Helper()
	in := &installation{Store: storetest.Open(t, cfg)}
	owner := dbgen.User(t, in.DB, store.User{Name: "owner", Roles: store.SetOf("owner")})
	_, in.token = dbgen.APIKey(t, in.DB, owner, store.APIKey{Scopes: store.SetOf("all")})
	return in
}

// seedOf is the seed of the key that signs the checkpoints of the test.
var seedOf = secret.New("0123456789abcdef0123456789abcdef")

func TestHonestLogVerifies(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		in := installEmpty(t, cfg)
		fill(t, in)
		signer, err := auditlog.NewSigner(in.Backend.Installation(), seedOf)
		if err != nil {
			t.Fatal(err)
		}
		var export bytes.Buffer
		var kept auditlog.Checkpoint
		err = in.View(t.Context(), authn.Verifier, func(tx store.Tx) error {
			row, err := tx.Audit.Head(t.Context())
			if err != nil {
				return err
			}
			head, err := auditlog.ParseHead(row.Size, row.Edge)
			if err != nil {
				return err
			}
			signed, err := signer.Sign(head)
			if err != nil {
				return err
			}
			if kept, err = auditlog.OpenCheckpoint(signed, signer.VerifierKey()); err != nil {
				return err
			}
			fmt.Fprintf(&export, `{"export":"gatehouse-audit","v":1,"origin":%q,"first":1,"size":%d,"edge":"","filtered":false}`+"\n", kept.Origin, head.Size)

			start := time.Now()
			var r auditlog.Report
			err = in.View(t.Context(), authn.Verifier, func(other store.Tx) (err error) {
				r, err = auditlog.Verify(t.Context(), kept.Origin, tx.Audit, []auditlog.Checkpoint{kept}, other.Audit)
				return err
			})
			if err != nil {
				return err
			}
			report(t, "from the database", r, kept, start)
			for from := int64(1); ; {
				rows, err := tx.Audit.Rows(t.Context(), from, 5000)
				if err != nil || len(rows) == 0 {
					return err
				}
				for _, r := range rows {
					export.Write(r.Leaf)
					export.WriteByte('\n')
				}
				from = rows[len(rows)-1].Index + 1
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r, err := auditlog.VerifyExport(&export, []auditlog.Checkpoint{kept})
		if err != nil {
			t.Fatal(err)
		}
		report(t, "from an export", r, kept, start)
	})
}

func report(t *testing.T, what string, r auditlog.Report, kept auditlog.Checkpoint, start time.Time) {
	t.Helper()
	took := time.Since(start)
	if r.Found != 0 || r.Covered != kept.Size || r.Size != kept.Size || r.Size < int64(*entryCount) {
		t.Errorf("%s: %+v", what, r)
	}
	t.Logf("%-32s %d entries in %v", what, r.Size, took.Round(time.Millisecond))
}

func TestSearchesOfTheLog(t *testing.T) {
	t.Parallel()
	storetest.EachConfig(t, func(t *testing.T, cfg sqlstore.Config) {
		in := installEmpty(t, cfg)
		fill(t, in)
		srv := in.serve(t)
		for _, c := range []struct{ what, query string }{
			{"the newest", ""}, {"an action", "action=delete"}, {"a rare action", "action=login_failed"}, {"a kind", "resource=api_key"},
			{"an action and a kind", "action=delete&resource=user"}, {"a person", "actor=person-07"}, {"a rare person", "actor=rare-person"},
			{"a month", "since=2030-01-01T00:10:00Z&until=2030-01-01T00:20:00Z"}, {"a target's beginning", "q=provider-0000"}, {"a rare target's beginning", "q=rare"},
			{"nothing", "q=nothing-like-it"},
		} {
			var f figure
			for range *roundCount {
				start := time.Now()
				in.get(t, srv, "/api/v1/audit?"+c.query)
				f = append(f, time.Since(start))
			}
			t.Logf("%-32s %s", c.what, f)
		}
	})
}
