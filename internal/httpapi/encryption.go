package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/custody"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const encryptionPath = "/api/v1/encryption-keys"

func (a *api) registerEncryption() {
	register(a, huma.Operation{
		OperationID: "list-encryption-keys", Method: http.MethodGet, Path: encryptionPath, Tags: []string{"Encryption"},
		Summary: "List data keys", Description: "Oldest first, retired ones included.",
	}, a.listEncryptionKeys)
	register(a, huma.Operation{
		OperationID: "get-rotation", Method: http.MethodGet, Path: encryptionPath + "/rotation", Tags: []string{"Encryption"},
		Summary: "Get how far a rotation is",
	}, a.getRotation)
	register(a, huma.Operation{
		OperationID: "rotate", Method: http.MethodPost, Path: encryptionPath + "/rotation", Tags: []string{"Encryption"},
		Summary:       "Rotate the encryption keys",
		Description:   "It is done while serving, and goes on when the answer comes. Asked for again while it is under way, it is the same rotation.",
		DefaultStatus: http.StatusAccepted, Errors: []int{400, 413, 415},
	}, a.rotate)
	register(a, huma.Operation{
		OperationID: "verify-encryption", Method: http.MethodPost, Path: encryptionPath + "/verify", Tags: []string{"Encryption"},
		Summary:     "Verify every secret",
		Description: "Tries each, and compares the records with what the audit log says was done to them. That the log is well itself is shown by gatehouse audit verify.",
		Errors:      []int{400, 413, 415},
	}, a.verifyEncryption)
	register(a, huma.Operation{
		OperationID: "wipe-unreadable", Method: http.MethodPost, Path: encryptionPath + "/wipe", Tags: []string{"Encryption"},
		Summary:     "Remove every secret that does not open",
		Description: "A provider key is removed, of a provider its settings are. They cannot be brought back.",
		Errors:      []int{400, 413, 415},
	}, a.wipeUnreadable)
	register(a, huma.Operation{
		OperationID: "list-replicas", Method: http.MethodGet, Path: "/api/v1/replicas", Tags: []string{"Encryption"},
		Summary: "List replicas", Description: "The servers that share the database, oldest first.",
	}, a.listReplicas)
}

func (a *api) rotationStatus(ctx context.Context, who store.Actor) (s rotation.Status, err error) {
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		s, err = rotation.Read(ctx, tx)
		return err
	})
	return s, err
}

type listEncryptionKeysOutput struct {
	Body client.Page[client.EncryptionKey]
}

func (a *api) listEncryptionKeys(ctx context.Context, who store.Actor, in *PageInput) (*listEncryptionKeysOutput, error) {
	after, err := in.after(isIndex)
	if err != nil {
		return nil, err
	}
	s, err := a.rotationStatus(ctx, who)
	if err != nil {
		return nil, err
	}
	number := func(k rotation.Key) string { return fmt.Sprintf("%019d", k.Number) }
	return &listEncryptionKeysOutput{page(behind(s.Keys, after, number), in.Limit, encryptionKey, number)}, nil
}

// behind returns the items whose cursor is greater than after, whether or not
// there still is one with that. The items are in the order of their cursors, and
// few by nature.
func behind[T any](items []T, after string, cursor func(T) string) []T {
	return slices.DeleteFunc(items, func(item T) bool { return cursor(item) <= after })
}

func encryptionKey(k rotation.Key) client.EncryptionKey {
	state := "active"
	switch {
	case !k.Active():
		state = "retired"
	case k.Primary:
		state = "primary"
	case k.PromotedAt.IsZero() && k.Purpose == store.ForSealing:
		state = "pending"
	}
	return client.EncryptionKey{
		Number: k.Number, Digest: k.Digest(), Purpose: string(k.Purpose), State: state, KEK: k.KEKID, Secrets: k.Cells,
		CreatedAt: k.CreatedAt, PromotedAt: orNil(k.PromotedAt), RetiredAt: orNil(k.RevokedAt),
	}
}

type rotationOutput struct{ Body client.Rotation }

func (a *api) getRotation(ctx context.Context, who store.Actor, _ *struct{}) (*rotationOutput, error) {
	s, err := a.rotationStatus(ctx, who)
	return &rotationOutput{a.rotation(s)}, err
}

func (a *api) rotation(s rotation.Status) client.Rotation {
	out := client.Rotation{
		Installation: a.Installation, State: string(s.State), Requested: string(s.Mode), Secrets: s.Cells, Done: s.Done, KeyEpoch: s.Epoch,
	}
	for _, r := range s.Replicas {
		if r.KeyError != "" && s.State != rotation.Idle {
			out.Trouble = r.KeyError
		}
	}
	return out
}

type rotateInput struct {
	Body struct {
		Mode string `json:"mode" enum:"full,rewrap" doc:"full: the data keys are wrapped by the newest key-encrypting key, and every secret is sealed again under a new data key. rewrap: only the former; no secret is touched."`
	}
}

func (a *api) rotate(ctx context.Context, who store.Actor, in *rotateInput) (*rotationOutput, error) {
	var s rotation.Status
	err := a.DB.Update(ctx, who, func(tx store.Tx) (err error) {
		if err := rotation.Request(ctx, tx, store.Rotation(in.Body.Mode)); err != nil {
			return err
		}
		s, err = rotation.Read(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.Rotate()
	return &rotationOutput{a.rotation(s)}, nil
}

type verifyEncryptionOutput struct{ Body client.EncryptionReport }

type emptyInput struct {
	Body struct{}
}

func (a *api) verifyEncryption(ctx context.Context, who store.Actor, _ *emptyInput) (*verifyEncryptionOutput, error) {
	r, err := custody.Verify(ctx, a.DB, who)
	if err != nil {
		return nil, err
	}
	out := client.EncryptionReport{Secrets: r.Cells, Unproved: r.Unproved, Findings: []client.EncryptionFinding{}}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, finding(f.Ref, f.Problem, f.Detail))
	}
	return &verifyEncryptionOutput{out}, nil
}

func finding(ref store.Ref, p custody.Problem, detail string) client.EncryptionFinding {
	return client.EncryptionFinding{Resource: string(ref.Resource), ID: ref.ID, Target: ref.Target, Problem: string(p), Detail: detail}
}

type wipeInput struct {
	Body struct {
		Installation string `json:"installation" maxLength:"64" doc:"The name of the installation, as the rotation has it: to be sure."`
	}
}

type wipeOutput struct{ Body client.Wiped }

func (a *api) wipeUnreadable(ctx context.Context, who store.Actor, in *wipeInput) (*wipeOutput, error) {
	if in.Body.Installation != a.Installation {
		return nil, &store.InvalidError{Field: "installation", Reason: "is not the name of this installation; gatehouse dbcrypt status shows it"}
	}
	wiped, err := custody.Wipe(ctx, a.DB, who)
	if err != nil {
		return nil, err
	}
	out := &wipeOutput{client.Wiped{Removed: []client.EncryptionFinding{}}}
	for _, ref := range wiped {
		out.Body.Removed = append(out.Body.Removed, finding(ref, custody.Unreadable, "removed"))
	}
	a.Rotate() // which may have waited for this
	return out, nil
}

type listReplicasOutput struct {
	Body client.Page[client.Replica]
}

func (a *api) listReplicas(ctx context.Context, who store.Actor, in *PageInput) (*listReplicasOutput, error) {
	after, err := in.after(isTimeAndID)
	if err != nil {
		return nil, err
	}
	var all []store.Replica
	err = a.DB.View(ctx, who, func(tx store.Tx) (err error) {
		all, err = tx.Replicas.List(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	started := func(r store.Replica) string { return r.StartedAt.UTC().Format(cursorTime) + " " + r.ID }
	return &listReplicasOutput{page(behind(all, after, started), in.Limit, replica, started)}, nil
}

// cursorTime is a form of times whose order is that of the times, as exact as the
// database has them.
const cursorTime = "2006-01-02T15:04:05.000000Z"

// isTimeAndID is for the replicas, which are in the order of their start, and for
// the records of requests.
func isTimeAndID(s string) bool {
	at, id, _ := strings.Cut(s, " ")
	_, err := time.Parse(cursorTime, at)
	return err == nil && isID(id)
}

func replica(r store.Replica) client.Replica {
	return client.Replica{
		ID: r.ID, Name: r.Name, Version: r.Version, KeyEpoch: r.KeyEpoch, KEKs: append([]string{}, r.KEKs.Slice()...),
		Trouble: r.KeyError, Started: r.StartedAt, Seen: r.SeenAt,
	}
}
