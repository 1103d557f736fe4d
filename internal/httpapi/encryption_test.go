package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

func rotationOf(t *testing.T, s *server) client.Rotation {
	t.Helper()
	return decode[client.Rotation](t, s.want(t, http.StatusOK, "GET", encryptionPath+"/rotation", ""))
}

func dataKeys(t *testing.T, s *server) []client.EncryptionKey {
	t.Helper()
	return decode[client.Page[client.EncryptionKey]](t, s.want(t, http.StatusOK, "GET", encryptionPath, "")).Items
}

// keysAs returns the data keys as purpose, state and number of secrets.
func keysAs(t *testing.T, s *server) (out []string) {
	t.Helper()
	for _, k := range dataKeys(t, s) {
		out = append(out, fmt.Sprint(k.Number, " ", k.Purpose, " ", k.State, " ", k.Secrets))
	}
	return out
}

// beat has a replica say something of itself.
func (s *server) beat(t *testing.T, r store.Replica) store.Replica {
	t.Helper()
	if r.ID == "" {
		r.ID = dbgen.ID()
	}
	if r.StartedAt.IsZero() {
		r.StartedAt = s.clock.now()
	}
	err := s.Update(t.Context(), authn.Keyholder, func(tx store.Tx) error { return tx.Replicas.Beat(t.Context(), r) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDataKeysAreListed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1", "2")
		keys := dataKeys(t, s)
		want := []string{"1 seal primary 2", "2 fingerprint active 0", "3 sign active 0"}
		if diff := cmp.Diff(want, keysAs(t, s)); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
		for _, k := range keys {
			if len(k.Digest) != 64 || k.KEK != s.KEKs[0].ID() || k.CreatedAt.IsZero() || k.PromotedAt == nil || k.RetiredAt != nil {
				t.Errorf("key %+v", k)
			}
		}
		// The keys themselves are in no answer, wrapped or not.
		for _, row := range s.rows(t, "SELECT wrapped_key FROM dbcrypt_keys") {
			text := fmt.Sprint(row[0])
			if shown := s.want(t, http.StatusOK, "GET", encryptionPath, "").text(); strings.Contains(shown, text) {
				t.Error("a wrapped key is shown")
			}
		}
		s.DB.OnKeysChanged(func(ctx context.Context) error { return s.Ring.Reload(ctx, s.DB, authn.Keyholder) })
		s.Rotate(t)
		want = []string{"1 seal active 2", "2 fingerprint active 0", "3 sign active 0", "4 seal primary 0"}
		if diff := cmp.Diff(want, keysAs(t, s)); diff != "" {
			t.Errorf("keys after a new one (-want +got):\n%s", diff)
		}
		if r := rotationOf(t, s); r.State != "resealing" || r.Secrets != 2 || r.Done != 0 {
			t.Errorf("rotation %+v", r)
		}
		s.provider(t, "later", "3")
		if r := rotationOf(t, s); r.Secrets != 3 || r.Done != 1 {
			t.Errorf("rotation %+v", r)
		}
	})
}

func TestRotationIsAskedFor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1")
		idle := client.Rotation{Installation: s.Backend.Installation(), State: "idle", Secrets: 1, Done: 1, KeyEpoch: rotationOf(t, s).KeyEpoch}
		if diff := cmp.Diff(idle, rotationOf(t, s)); diff != "" {
			t.Fatalf("before (-want +got):\n%s", diff)
		}
		before := len(s.Audit(t))
		asked := idle
		asked.State, asked.Requested, asked.KeyEpoch = "requested", "rewrap", idle.KeyEpoch
		post := func(mode string) client.Rotation {
			a := s.want(t, http.StatusAccepted, "POST", encryptionPath+"/rotation", `{"mode":"`+mode+`"}`)
			got := decode[client.Rotation](t, a)
			got.KeyEpoch = idle.KeyEpoch // that a key was touched is no news here
			return got
		}
		if diff := cmp.Diff(asked, post("rewrap")); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
		asked.Requested = "full" // which does what the other does
		for _, mode := range []string{"full", "full", "rewrap"} {
			if diff := cmp.Diff(asked, post(mode)); diff != "" {
				t.Errorf("then %s (-want +got):\n%s", mode, diff)
			}
		}
		var entries []string
		for _, e := range s.Audit(t)[before:] {
			entries = append(entries, fmt.Sprint(e.Action, " ", e.Resource, " ", e.Diff))
		}
		want := []string{
			`rotate encryption_key {"rotation":{"old":"","new":"rewrap"}}`,
			`rotate encryption_key {"rotation":{"old":"rewrap","new":"full"}}`,
		}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("the audit log (-want +got):\n%s", diff)
		}
		if n := s.rotations.Load(); n != 4 {
			t.Errorf("the rotator was told %d times", n)
		}
	})
}

func TestWhatARotationWaitsForIsShown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.beat(t, store.Replica{Name: "a", KeyError: "the key service is away"})
		if r := rotationOf(t, s); r.Trouble != "" {
			t.Errorf("none is under way, and it waits: %s", r.Trouble)
		}
		s.want(t, http.StatusAccepted, "POST", encryptionPath+"/rotation", `{"mode":"full"}`)
		if r := rotationOf(t, s); r.Trouble != "the key service is away" {
			t.Errorf("it waits: %q", r.Trouble)
		}
	})
}

func TestReplicasAreListed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		var all []store.Replica
		for i := range 5 {
			// Two at the same time, with ids against the order of their start.
			at := s.clock.now().Add(time.Duration(i/2) * time.Minute)
			all = append(all, s.beat(t, store.Replica{
				ID: fmt.Sprintf("0190a5a0-0000-7000-8000-%012d", 90-10*(i/2)+i%2), Name: fmt.Sprintf("r-%d", i), Version: "v1", KeyEpoch: 3, KEKs: store.SetOf("k1", "k2"), StartedAt: at,
			}))
		}
		first := decode[client.Page[client.Replica]](t, s.want(t, http.StatusOK, "GET", "/api/v1/replicas?limit=1", ""))
		want := client.Replica{ID: all[0].ID, Name: "r-0", Version: "v1", KeyEpoch: 3, KEKs: []string{"k1", "k2"}, Started: all[0].StartedAt, Seen: first.Items[0].Seen}
		if diff := cmp.Diff([]client.Replica{want}, first.Items); diff != "" || first.Items[0].Seen.IsZero() {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for limit := 1; limit < 7; limit++ {
			got, _ := walk(t, s, "/api/v1/replicas", limit, nil)
			if diff := cmp.Diff([]string{"r-0", "r-1", "r-2", "r-3", "r-4"}, got); diff != "" {
				t.Errorf("by %d (-want +got):\n%s", limit, diff)
			}
		}
		// When the one that a page ended with goes, the next does not begin anew.
		last := 1
		got, _ := walk(t, s, "/api/v1/replicas", 2, func() {
			err := s.Update(t.Context(), authn.Keyholder, func(tx store.Tx) error {
				return tx.Replicas.Forget(t.Context(), all[last].ID, time.Time{})
			})
			if err != nil {
				t.Fatal(err)
			}
			last += 2
		})
		if diff := cmp.Diff([]string{"r-0", "r-1", "r-2", "r-3", "r-4"}, got); diff != "" {
			t.Errorf("while they go (-want +got):\n%s", diff)
		}
	})
}

func TestDataKeysComeInPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		for range 9 {
			s.Rotate(t) // to numbers of two digits
		}
		for _, limit := range []int{1, 5, 12} {
			var got []int64
			for cursor := ""; ; {
				p := decode[client.Page[client.EncryptionKey]](t, s.want(t, http.StatusOK, "GET", fmt.Sprint(encryptionPath, "?limit=", limit, cursor), ""))
				for _, k := range p.Items {
					got = append(got, k.Number)
				}
				if p.NextCursor == nil {
					break
				}
				cursor = "&cursor=" + *p.NextCursor
			}
			if len(got) != 12 || !slices.IsSorted(got) || got[11] != 12 {
				t.Errorf("by %d: %v", limit, got)
			}
		}
	})
}

func TestVerifyAndWipe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "main", "1", "2")
		other := s.provider(t, "other", "3")
		verify := func() client.EncryptionReport {
			return decode[client.EncryptionReport](t, s.want(t, http.StatusOK, "POST", encryptionPath+"/verify", `{}`))
		}
		if r := verify(); r.Secrets != 3 || len(r.Findings) != 0 || r.Findings == nil || r.Unproved != 0 {
			t.Errorf("before anything: %+v", r)
		}
		lost, gone := p.APIKeys[0], other.APIKeys[0]
		s.Exec(t, "UPDATE ai_provider_keys SET fingerprint = 'x' WHERE id = $1", lost.ID)
		s.Exec(t, "DELETE FROM ai_provider_keys WHERE id = $1", gone.ID)
		r := verify()
		for i := range r.Findings {
			if r.Findings[i].Detail == "" {
				t.Errorf("no detail in %+v", r.Findings[i])
			}
			r.Findings[i].Detail = ""
		}
		finding := client.EncryptionFinding{Resource: "ai_provider_key", ID: lost.ID, Target: p.ID, Problem: "unreadable"}
		want := []client.EncryptionFinding{finding, {Resource: "ai_provider_key", ID: gone.ID, Target: other.ID, Problem: "missing"}}
		if diff := cmp.Diff(want, r.Findings); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}

		body := `{"installation":"` + s.Backend.Installation() + `"}`
		// Who may read and not delete is refused, and nothing is removed.
		reader := s.with(t, s.owner, store.APIKey{Scopes: store.SetOf("ai_provider:*", "ai_provider_key:read")})
		refusal(t, reader.call(t, "POST", encryptionPath+"/wipe", body), http.StatusForbidden)
		if keys := get(t, s, "main").APIKeys; len(keys) != 2 {
			t.Errorf("the refused wipe left %d keys", len(keys))
		}
		before := s.rotations.Load()
		w := decode[client.Wiped](t, s.want(t, http.StatusOK, "POST", encryptionPath+"/wipe", body))
		finding.Detail = "removed"
		if diff := cmp.Diff([]client.EncryptionFinding{finding}, w.Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
		if keys := get(t, s, "main").APIKeys; len(keys) != 1 || keys[0].ID != p.APIKeys[1].ID {
			t.Errorf("keys left: %+v", keys)
		}
		if s.rotations.Load() == before {
			t.Error("a rotation that waited for it would not go on at once")
		}
		w = decode[client.Wiped](t, s.want(t, http.StatusOK, "POST", encryptionPath+"/wipe", body))
		if len(w.Removed) != 0 || w.Removed == nil {
			t.Errorf("removed again %+v", w.Removed)
		}
	})
}
