package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// An EncryptionKey is a data key: what secrets in the database are sealed under.
// It is wrapped by a key-encrypting key that the operator keeps.
type EncryptionKey struct {
	Number  int64  `json:"number" doc:"Counts the data keys of the installation."`
	Digest  string `json:"digest" doc:"Names the key; it tells nothing of it."`
	Purpose string `json:"purpose" enum:"seal,fingerprint,sign" doc:"What it is for."`
	State   string `json:"state" enum:"pending,primary,active,retired" doc:"primary: what is written is sealed under it. active: in use. pending: every replica is to have it first. retired: nothing is sealed under it."`
	KEK     string `json:"kek" doc:"The key-encrypting key that wraps it, or did last."`
	Secrets int64  `json:"secrets" doc:"How many secrets are sealed under it."`

	CreatedAt  time.Time  `json:"created_at" doc:"When it was made."`
	PromotedAt *time.Time `json:"promoted_at" doc:"When it began to be used."`
	RetiredAt  *time.Time `json:"retired_at" doc:"When it was retired, and what it was wrapped in was wiped."`
}

// A Replica is a server that shares the database.
type Replica struct {
	ID       string    `json:"id" doc:"Made at each start."`
	Name     string    `json:"name" doc:"The name of its machine."`
	Version  string    `json:"version" doc:"The version of the program."`
	KeyEpoch int64     `json:"key_epoch" doc:"Which change of the data keys it has loaded."`
	KEKs     []string  `json:"keks" nullable:"false" doc:"The key-encrypting keys that it holds, the one that wraps first."`
	Trouble  string    `json:"trouble" doc:"What keeps it from having the newest data keys, or a rotation from going on; empty: nothing."`
	Started  time.Time `json:"started_at" doc:"When it started."`
	Seen     time.Time `json:"seen_at" doc:"When it last said that it lives. One alone on its database need not."`
}

// A Rotation is how far the rotation of the encryption keys is.
type Rotation struct {
	Installation string `json:"installation" doc:"The name of the installation."`
	State        string `json:"state" enum:"idle,requested,distributing,resealing" doc:"requested: about to begin. distributing: a new data key waits for every live replica to have it. resealing: secrets are sealed again under it."`
	Requested    string `json:"requested" enum:",rewrap,full" doc:"What was asked for, and has not begun."`
	Secrets      int64  `json:"secrets" doc:"How many secrets there are."`
	Done         int64  `json:"done" doc:"How many of them are sealed under the primary data key."`
	KeyEpoch     int64  `json:"key_epoch" doc:"How often the data keys have changed."`
	Trouble      string `json:"trouble" doc:"What it waits for; empty: nothing."`
}

// A Rotate asks for a rotation.
type Rotate struct {
	// Mode is full or rewrap.
	Mode string `json:"mode"`
}

// An EncryptionReport is what verifying the secrets found.
type EncryptionReport struct {
	Secrets  int64               `json:"secrets" doc:"How many were tried."`
	Findings []EncryptionFinding `json:"findings" nullable:"false" doc:"What is wrong."`
	Unproved int64               `json:"unproved" doc:"How many records there is no audit entry of, because retention removed it: that they open is all that is known."`
}

// An EncryptionFinding is a secret or record that is not what it should be.
type EncryptionFinding struct {
	Resource string `json:"resource" doc:"Its kind, such as ai_provider_key."`
	ID       string `json:"id" doc:"Its id."`
	Target   string `json:"target" doc:"The provider's name; of a key, the id of its provider."`
	Problem  string `json:"problem" enum:"unreadable,rolled_back,missing,planted" doc:"unreadable: it does not open. rolled_back: it is an older one. missing: nobody removed it. planted: nobody wrote it."`
	Detail   string `json:"detail" doc:"What is wrong with it, for people."`
}

// A Wipe removes what does not open.
type Wipe struct {
	// Installation is the name of the installation, to be sure.
	Installation string `json:"installation"`
}

// Wiped is what was removed.
type Wiped struct {
	Removed []EncryptionFinding `json:"removed" nullable:"false" doc:"What was removed."`
}

const encryptionPath = "/api/v1/encryption-keys"

// ListEncryptionKeys returns one page of the data keys, oldest first.
func (c *Client) ListEncryptionKeys(ctx context.Context, o ListOptions) (Page[EncryptionKey], error) {
	return call[Page[EncryptionKey]](ctx, c, http.MethodGet, encryptionPath+o.query(), 0, nil)
}

// EncryptionKeys returns every data key.
func (c *Client) EncryptionKeys(ctx context.Context) iter.Seq2[EncryptionKey, error] {
	return pages(ctx, c.ListEncryptionKeys)
}

// Rotation returns how far the rotation of the encryption keys is.
func (c *Client) Rotation(ctx context.Context) (Rotation, error) {
	return call[Rotation](ctx, c, http.MethodGet, encryptionPath+"/rotation", 0, nil)
}

// Rotate asks for a rotation. It goes on when the call has returned.
func (c *Client) Rotate(ctx context.Context, req Rotate) (Rotation, error) {
	return call[Rotation](ctx, c, http.MethodPost, encryptionPath+"/rotation", 0, req)
}

// VerifyEncryption tries every secret, and compares them with the audit log.
func (c *Client) VerifyEncryption(ctx context.Context) (EncryptionReport, error) {
	return call[EncryptionReport](ctx, c, http.MethodPost, encryptionPath+"/verify", 0, struct{}{})
}

// WipeUnreadable removes every secret that does not open.
func (c *Client) WipeUnreadable(ctx context.Context, req Wipe) (Wiped, error) {
	return call[Wiped](ctx, c, http.MethodPost, encryptionPath+"/wipe", 0, req)
}

// ListReplicas returns one page of the replicas, oldest first.
func (c *Client) ListReplicas(ctx context.Context, o ListOptions) (Page[Replica], error) {
	return call[Page[Replica]](ctx, c, http.MethodGet, "/api/v1/replicas"+o.query(), 0, nil)
}

// Replicas returns every replica.
func (c *Client) Replicas(ctx context.Context) iter.Seq2[Replica, error] {
	return pages(ctx, c.ListReplicas)
}
