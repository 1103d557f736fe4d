package client_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/client/clienttest"
)

func TestRotationFromRequestToEnd(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	r, err := c.Rotation(ctx)
	if err != nil || r.State != "idle" || r.Installation != clienttest.Installation {
		t.Fatalf("at first %+v, %v", r, err)
	}
	r, err = c.Rotate(ctx, client.Rotate{Mode: "full"})
	if err != nil || r.State != "requested" || r.Requested != "full" {
		t.Fatalf("asked for, it is %+v, %v", r, err)
	}
	again, err := c.Rotate(ctx, client.Rotate{Mode: "full"})
	if diff := cmp.Diff(r, again); diff != "" || err != nil {
		t.Errorf("asked for again, it is another (-want +got):\n%s%v", diff, err)
	}
	var states []string
	for r.State != "idle" {
		if r, err = c.Rotation(ctx); err != nil {
			t.Fatal(err)
		}
		states = append(states, r.State)
	}
	if diff := cmp.Diff([]string{"distributing", "resealing", "resealing", "idle"}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	var keys []string
	for k, err := range c.EncryptionKeys(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k.Purpose+" "+k.State)
		if (k.RetiredAt != nil) != (k.State == "retired") || len(k.Digest) != 64 {
			t.Errorf("key %+v", k)
		}
	}
	if diff := cmp.Diff([]string{"seal retired", "fingerprint active", "sign active", "seal primary"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	for replica, err := range c.Replicas(ctx) {
		if err != nil || replica.KeyEpoch != r.KeyEpoch || len(replica.KEKs) != 1 {
			t.Errorf("replica %+v, %v", replica, err)
		}
	}
	_, err = c.Rotate(ctx, client.Rotate{Mode: "half"})
	refusal(t, err, http.StatusUnprocessableEntity)
}

func TestDataKeysComeInPages(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	first, err := c.ListEncryptionKeys(t.Context(), client.ListOptions{Limit: 2})
	if err != nil || len(first.Items) != 2 || first.NextCursor == nil {
		t.Fatalf("first page %+v, %v", first, err)
	}
	rest, err := c.ListEncryptionKeys(t.Context(), client.ListOptions{Limit: 2, Cursor: *first.NextCursor})
	if err != nil || len(rest.Items) != 1 || rest.NextCursor != nil {
		t.Errorf("second page %+v, %v", rest, err)
	}
	replicas, err := c.ListReplicas(t.Context(), client.ListOptions{Limit: 1})
	if err != nil || len(replicas.Items) != 1 || replicas.NextCursor != nil {
		t.Errorf("replicas %+v, %v", replicas, err)
	}
}

func TestVerifyAndWipe(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	ctx := t.Context()
	lost := client.EncryptionFinding{Resource: "ai_provider_key", ID: "k", Target: "p", Problem: "unreadable", Detail: "does not open"}
	old := client.EncryptionFinding{Resource: "ai_provider", ID: "q", Target: "vendor", Problem: "rolled_back", Detail: "older"}
	s.SetFindings(lost, old)
	r, err := c.VerifyEncryption(ctx)
	if diff := cmp.Diff(client.EncryptionReport{Secrets: 4, Findings: []client.EncryptionFinding{lost, old}}, r); diff != "" || err != nil {
		t.Errorf("report (-want +got):\n%s%v", diff, err)
	}
	_, err = c.WipeUnreadable(ctx, client.Wipe{Installation: "another"})
	if e := refusal(t, err, http.StatusUnprocessableEntity); len(e.Errors) != 1 || e.Errors[0].Location != "body.installation" {
		t.Errorf("refused with %+v", e)
	}
	lost.Detail = "removed"
	w, err := c.WipeUnreadable(ctx, client.Wipe{Installation: clienttest.Installation})
	if diff := cmp.Diff(client.Wiped{Removed: []client.EncryptionFinding{lost}}, w); diff != "" || err != nil {
		t.Errorf("removed (-want +got):\n%s%v", diff, err)
	}
}

func TestRequestsAboutEncryptionAreExplicit(t *testing.T) {
	t.Parallel()
	for want, req := range map[string]any{
		`{"mode":"full"}`:      client.Rotate{Mode: "full"},
		`{"mode":""}`:          client.Rotate{}, // which the server refuses
		`{"installation":"x"}`: client.Wipe{Installation: "x"},
	} {
		if got, err := json.Marshal(req); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
