// Package dbcrypt seals the secrets of records on their way to the database,
// and opens them for the one call that asks for it.
//
// A sealed secret is bound to its place: installation, table, column, row,
// revision and data key, and to what the record says it is bound to besides
// (its provider, the origin that it may be sent to, and what stands beside it in
// the clear). Moved, copied, cut, re-aimed or replaced by plaintext, it does not
// open. Reading records opens nothing; nor does an edit that leaves the secret
// alone. An edit that keeps a part of a secret names the part: it is taken over
// in here, and whoever edits never sees it.
//
// Which columns are secret is said by the records themselves, in
// [store.Sealed]: this package has no list of its own.
package dbcrypt

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A DataKey is a key that cells are sealed under, or fingerprints made with.
type DataKey struct {
	Digest string      // full HMAC-SHA-256 that names it, in hexadecimal
	Secret secret.Text // 32 bytes
}

// A KeySet is the data keys of an installation at one time. It does not change;
// the zero KeySet opens nothing and seals nothing.
type KeySet struct {
	// Epoch is how often the data keys had changed then, as
	// [store.Changes.KeyEpoch] counts.
	Epoch int64
	// Primary is the key to seal under, and Fingerprinting the one that
	// fingerprints are made with.
	Primary, Fingerprinting DataKey
	// ByDigest has the keys that cells may be sealed under.
	ByDigest map[string]DataKey
}

// Keys has the data keys of an installation, as this process knows them.
type Keys interface {
	Current() KeySet
}

// Layer returns the [store.Layer] that seals with keys, for the installation of
// that id. A transaction keeps the keys that it began with. It seals only if no
// others are newer, and what it cannot open may be sealed under one that is: then
// it ends with [store.ErrKeysChanged].
func Layer(keys Keys, installation string) store.Layer {
	return func(_ store.Actor, tx store.Tx) store.Tx {
		c := crypt{keys.Current(), installation, tx.Changes}
		return store.Tx{
			Providers:      wrap(c, tx, tx.Providers),
			ProviderKeys:   wrap(c, tx, tx.ProviderKeys),
			Routes:         wrap(c, tx, tx.Routes),
			Users:          wrap(c, tx, tx.Users),
			Roles:          wrap(c, tx, tx.Roles),
			APIKeys:        wrap(c, tx, tx.APIKeys),
			Passwords:      wrap(c, tx, tx.Passwords),
			Sessions:       wrap(c, tx, tx.Sessions),
			EncryptionKeys: wrap(c, tx, tx.EncryptionKeys),
			Audit:          tx.Audit,
			Secrets:        opener{c, tx},
			Changes:        tx.Changes,
			LastUse:        tx.LastUse,
			Credentials:    tx.Credentials,
			Cells:          cells{c, tx},
			Replicas:       tx.Replicas,
			KeyStates:      tx.KeyStates,
			Interceptions:  tx.Interceptions,
		}
	}
}

// wrap returns next itself when records of type T have no secrets.
func wrap[T store.Record](c crypt, tx store.Tx, next store.Table[T]) store.Table[T] {
	if _, ok := any(new(T)).(store.Sealed); !ok {
		return next
	}
	return table[T]{c, tx, next}
}

// A table seals on the way in. On the way out there is nothing to do: a record
// carries its secrets sealed.
type table[T store.Record] struct {
	crypt crypt
	tx    store.Tx // the tables under this layer, for what a secret is bound to
	next  store.Table[T]
}

func (t table[T]) Get(ctx context.Context, id string) (T, error) { return t.next.Get(ctx, id) }

func (t table[T]) List(ctx context.Context, q store.Query) ([]T, error) { return t.next.List(ctx, q) }

func (t table[T]) Insert(ctx context.Context, rec T) (T, error) {
	var none T
	if err := t.sealChanged(ctx, &none, &rec); err != nil {
		return none, err
	}
	return t.next.Insert(ctx, rec)
}

func (t table[T]) Update(ctx context.Context, id string, edit func(*T) error) (T, error) {
	return t.next.Update(ctx, id, func(rec *T) error {
		before := *rec
		if err := edit(rec); err != nil {
			return err
		}
		return t.sealChanged(ctx, &before, rec)
	})
}

func (t table[T]) Delete(ctx context.Context, id string) (T, error) { return t.next.Delete(ctx, id) }

// sealChanged seals the secrets of after that are not those of before, and
// makes sure that those which stay will still open.
func (t table[T]) sealChanged(ctx context.Context, before, after *T) error {
	was, is := any(before).(store.Sealed), any(after).(store.Sealed)
	oldSecrets, newSecrets := was.Sealings(), is.Sealings()
	ref := is.Ref()
	binding, err := is.Binding(ctx, t.tx)
	if err != nil {
		return fmt.Errorf("%s %s: %w", ref.Resource, ref.ID, err)
	}
	for i, s := range newSecrets {
		old := oldSecrets[i]
		switch unchanged := *s.Value == *old.Value; {
		case s.Value.IsZero():
			*s.KeyID = ""
			if !unchanged {
				*s.Revision++ // what was there must not look like the newest
			}
		case unchanged:
			oldBinding, err := was.Binding(ctx, t.tx)
			if err != nil {
				return fmt.Errorf("%s %s: %w", ref.Resource, ref.ID, err)
			}
			if !slices.Equal(oldBinding, binding) || was.Ref().ID != ref.ID {
				return &store.InvalidError{Field: s.Column, Reason: "must be given again when what it is bound to changes"}
			}
			if s.Public != nil && *s.Public != *old.Public {
				return &store.InvalidError{Field: s.Column, Reason: "must be written together with what is shown of it"}
			}
		case s.Value.IsSealed():
			return &store.InvalidError{Field: s.Column, Reason: "was sealed for another place"}
		default:
			if s.Keep != nil && !s.Keep.IsEmpty() {
				if err := t.crypt.keep(ctx, old, s, ref.ID, binding); err != nil {
					return err
				}
			}
			if err := t.crypt.newest(ctx); err != nil {
				return err
			}
			*s.Revision++
			if err := t.crypt.seal(s, ref.ID, binding); err != nil {
				return fmt.Errorf("%s %s: seal %s: %w", ref.Resource, ref.ID, s.Column, err)
			}
		}
		if s.Keep != nil {
			*s.Keep = store.Set{}
		}
	}
	return nil
}

// crypt seals and opens single secrets.
type crypt struct {
	keys         KeySet
	installation string
	changes      store.Changes
}

// newest returns [store.ErrKeysChanged] if there are newer data keys, and in a
// transaction that writes keeps others from coming: a process that slept through
// a rotation writes nothing under the old key.
func (c crypt) newest(ctx context.Context) error {
	epoch, err := c.changes.KeyEpoch(ctx)
	if err == nil && epoch != c.keys.Epoch {
		err = store.ErrKeysChanged
	}
	return err
}

// seal seals a secret that is new. Its hint and its fingerprint are made of it.
func (c crypt) seal(s store.Sealing, rowID string, binding []string) error {
	if s.Hint != nil {
		*s.Hint = s.Value.Hint()
	}
	if s.Fingerprint != nil {
		*s.Fingerprint = fingerprint(c.keys.Fingerprinting, s.Value.Reveal())
	}
	return c.close(s, rowID, binding)
}

// close puts the cell in the place of the secret.
func (c crypt) close(s store.Sealing, rowID string, binding []string) error {
	key := c.keys.Primary
	plain := s.Value.Reveal()
	*s.KeyID = key.Digest
	cell, err := seal(key, c.place(s, rowID, binding), plain)
	if err != nil {
		return err
	}
	*s.Value = secret.FromSealed(cell)
	return nil
}

func (c crypt) open(ctx context.Context, s store.Sealing, rowID string, binding []string) (secret.Text, error) {
	if s.Value.IsZero() {
		return secret.Text{}, nil
	}
	key, ok := c.keys.ByDigest[*s.KeyID]
	if !ok {
		if err := c.newest(ctx); err != nil {
			return secret.Text{}, err
		}
		return secret.Text{}, fmt.Errorf("%w: its data key is not among the keys of this server", store.ErrUnreadable)
	}
	plain, err := open(key, c.place(s, rowID, binding), s.Value.Sealed())
	if err != nil {
		return secret.Text{}, fmt.Errorf("%w: %w", store.ErrUnreadable, err)
	}
	return secret.New(plain), nil
}

// place is where a cell stands and what it is bound to.
func (c crypt) place(s store.Sealing, rowID string, binding []string) []string {
	place := append([]string{
		c.installation, s.Table, s.Column, rowID, strconv.FormatInt(*s.Revision, 10), *s.KeyID,
	}, binding...)
	if s.Public != nil {
		digest := sha256.Sum256([]byte(*s.Public))
		place = append(place, hex.EncodeToString(digest[:]))
	}
	return place
}

// fingerprint tells whether two secrets are the same, to whoever has the key.
func fingerprint(key DataKey, plain string) string {
	mac := hmac.New(sha256.New, []byte(key.Secret.Reveal()))
	mac.Write([]byte(plain))
	return hex.EncodeToString(mac.Sum(nil))
}

// An opener implements [store.Secrets].
type opener struct {
	crypt crypt
	tx    store.Tx
}

func (o opener) Open(ctx context.Context, rec store.Sealed) (map[string]secret.Text, error) {
	ref := rec.Ref()
	binding, err := rec.Binding(ctx, o.tx)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", ref.Resource, ref.ID, err)
	}
	out := map[string]secret.Text{}
	for _, s := range rec.Sealings() {
		if out[s.Column], err = o.crypt.open(ctx, s, ref.ID, binding); err != nil {
			return nil, fmt.Errorf("%s %s: %s: %w", ref.Resource, ref.ID, s.Column, err)
		}
	}
	return out, nil
}

func (o opener) Check(ctx context.Context, rec store.Sealed) error {
	opened, err := o.Open(ctx, rec)
	if err != nil {
		return err
	}
	ref := rec.Ref()
	for _, s := range rec.Sealings() {
		if s.Fingerprint != nil && *s.Fingerprint != fingerprint(o.crypt.keys.Fingerprinting, opened[s.Column].Reveal()) {
			return fmt.Errorf("%s %s: %s: %w: its fingerprint is of another secret", ref.Resource, ref.ID, s.Column, store.ErrUnreadable)
		}
	}
	return nil
}

func (o opener) Fingerprint(_ context.Context, value secret.Text) (string, error) {
	return fingerprint(o.crypt.keys.Fingerprinting, value.Reveal()), nil
}
