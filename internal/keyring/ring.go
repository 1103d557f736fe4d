package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

// A Ring is the data keys of an installation, unwrapped, and the KEKs that this
// process has for them. It implements [dbcrypt.Keys]; the zero Ring is empty.
type Ring struct {
	installation string
	keks         []KEK

	current   atomic.Pointer[loaded]
	mu        sync.Mutex // held while loading
	reloading sync.Mutex // held while reading rows and loading them: what was read later counts
}

// loaded is what a Ring has of one epoch.
type loaded struct {
	keys    dbcrypt.KeySet
	signing dbcrypt.DataKey
	// unwrapped are the keys of active rows, by what was unwrapped.
	unwrapped map[wrapping]dbcrypt.DataKey
}

// A wrapping tells whether a row has to be unwrapped again.
type wrapping struct {
	digest, kekID, wrapped, check string
	purpose                       store.KeyPurpose
}

var _ dbcrypt.Keys = (*Ring)(nil)

// NewRing returns an empty Ring for an installation. The first of keks wraps new
// data keys, all of them unwrap.
func NewRing(installation string, keks []KEK) *Ring {
	return &Ring{installation: installation, keks: keks}
}

// A NoKEKError says that a data key is wrapped by a KEK that is not here.
type NoKEKError struct {
	Need string
	Have []string
}

func (e *NoKEKError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("there is no encryption key here, and the database is encrypted with %s", Short(e.Need))
	}
	var have []string
	for _, id := range e.Have {
		have = append(have, Short(id))
	}
	return fmt.Sprintf("the encryption key here (%s) is not the one that the database was encrypted with (%s)", strings.Join(have, ", "), Short(e.Need))
}

// A RetiredKEKError says that the KEK that would wrap was replaced by another.
type RetiredKEKError struct {
	Retired, Current string
}

func (e *RetiredKEKError) Error() string {
	return fmt.Sprintf("the encryption key that is named first (%s) was retired: the database has been rotated to %s", Short(e.Retired), Short(e.Current))
}

// A MissingKeyError says that there is no active data key of a purpose. Those
// that there are open.
type MissingKeyError struct{ Purpose store.KeyPurpose }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the database has no active data key of purpose %q: restore dbcrypt_keys from a backup", e.Purpose)
}

// Short returns the beginning of a KEK's id, for people.
func Short(id string) string {
	if len(id) == localIDHex && !strings.ContainsAny(id, ":/") {
		return id[:8] + "…"
	}
	return id
}

// Load replaces the data keys by those of rows, which are of that epoch. Every
// active one must open, and one of each purpose is needed; if not, the Ring
// keeps what it has.
func (r *Ring) Load(ctx context.Context, rows []store.EncryptionKey, epoch int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.current.Load()
	if last != nil && last.keys.Epoch == epoch {
		return nil
	}
	if err := r.checkPrimaryKEK(rows); err != nil {
		return err
	}
	next := &loaded{keys: dbcrypt.KeySet{Epoch: epoch, ByDigest: map[string]dbcrypt.DataKey{}}, unwrapped: map[wrapping]dbcrypt.DataKey{}}
	var primary store.EncryptionKey
	for _, w := range rows {
		if !w.Active() {
			continue // retired: no row is sealed under it
		}
		key, err := r.unwrapped(ctx, last, w)
		if err != nil {
			return err
		}
		next.unwrapped[wrappingOf(w)] = key
		switch w.Purpose {
		case store.ForSealing:
			next.keys.ByDigest[key.Digest] = key
			if newerPrimary(w, primary) {
				primary, next.keys.Primary = w, key
			}
		case store.ForFingerprinting: // of several, the newest
			next.keys.Fingerprinting = key
		case store.ForSigning:
			next.signing = key
		}
	}
	for purpose, key := range map[store.KeyPurpose]dbcrypt.DataKey{
		store.ForSealing: next.keys.Primary, store.ForFingerprinting: next.keys.Fingerprinting, store.ForSigning: next.signing,
	} {
		if key.Secret.IsZero() {
			return &MissingKeyError{purpose}
		}
	}
	r.current.Store(next)
	return nil
}

// newerPrimary reports whether w is to be sealed under rather than than.
func newerPrimary(w, than store.EncryptionKey) bool {
	return !w.PromotedAt.IsZero() && (w.PromotedAt.After(than.PromotedAt) || w.PromotedAt.Equal(than.PromotedAt) && w.Number > than.Number)
}

// PrimaryOf returns the data key among rows that is sealed under, and false if
// there is none.
func PrimaryOf(rows []store.EncryptionKey) (primary store.EncryptionKey, ok bool) {
	for _, w := range rows {
		if w.Active() && w.Purpose == store.ForSealing && newerPrimary(w, primary) {
			primary, ok = w, true
		}
	}
	return primary, ok
}

func (r *Ring) unwrapped(ctx context.Context, last *loaded, w store.EncryptionKey) (dbcrypt.DataKey, error) {
	if last != nil {
		if key, ok := last.unwrapped[wrappingOf(w)]; ok {
			return key, nil
		}
	}
	kek, err := r.kek(w.KEKID)
	if err != nil {
		return dbcrypt.DataKey{}, err
	}
	return unwrap(ctx, kek, r.installation, w)
}

func wrappingOf(w store.EncryptionKey) wrapping {
	return wrapping{w.ActiveDigest, w.KEKID, w.WrappedKey, w.CheckValue, w.Purpose}
}

// checkPrimaryKEK refuses to wrap by a KEK that was rotated away from: whoever
// has it, or had it leaked, would be let in again.
func (r *Ring) checkPrimaryKEK(rows []store.EncryptionKey) error {
	if len(r.keks) == 0 {
		return nil // nothing will be wrapped
	}
	first, retired, current := r.keks[0].ID(), false, ""
	for _, w := range rows {
		if w.Active() {
			current = w.KEKID
			if w.KEKID == first {
				return nil
			}
		}
		for former := range w.FormerKEKs.All() {
			retired = retired || former == first
		}
		retired = retired || !w.Active() && w.KEKID == first
	}
	if retired {
		return &RetiredKEKError{Retired: first, Current: current}
	}
	return nil
}

func (r *Ring) kek(id string) (KEK, error) {
	for _, k := range r.keks {
		if k.ID() == id {
			return k, nil
		}
	}
	return nil, &NoKEKError{Need: id, Have: r.KEKs()}
}

// KEKs returns the ids of the KEKs that this process has, the one that wraps
// first.
func (r *Ring) KEKs() []string {
	var ids []string
	for _, k := range r.keks {
		ids = append(ids, k.ID())
	}
	return ids
}

// Generate returns a fresh data key, wrapped for keeping. It may ask elsewhere:
// not within a transaction.
func (r *Ring) Generate(ctx context.Context, purpose store.KeyPurpose) (store.EncryptionKey, error) {
	if len(r.keks) == 0 {
		return store.EncryptionKey{}, errors.New("there is no encryption key here to wrap a data key by")
	}
	return NewDataKey(ctx, r.keks[0], r.installation, purpose)
}

// Rewrap returns w wrapped by the first of the KEKs. It may ask elsewhere: not
// within a transaction.
func (r *Ring) Rewrap(ctx context.Context, w store.EncryptionKey) (store.EncryptionKey, error) {
	from, err := r.kek(w.KEKID)
	if err != nil {
		return w, err
	}
	return rewrap(ctx, from, r.keks[0], r.installation, w)
}

// Reload loads the data keys that db has now.
func (r *Ring) Reload(ctx context.Context, db *store.DB, who store.Actor) error {
	return r.reload(ctx, db, who, func(store.EncryptionKey) bool { return false })
}

func (r *Ring) reload(ctx context.Context, db *store.DB, who store.Actor, without func(store.EncryptionKey) bool) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	var rows []store.EncryptionKey
	var epoch int64
	err := db.View(ctx, who, func(tx store.Tx) (err error) {
		if epoch, err = tx.Changes.KeyEpoch(ctx); err != nil {
			return err
		}
		rows, err = tx.EncryptionKeys.List(ctx, store.Query{})
		return err
	})
	if err != nil {
		return err
	}
	return r.Load(ctx, slices.DeleteFunc(rows, without), epoch)
}

// Opens reports whether a KEK of this process unwraps a data key. An error is of
// the way to the KEK.
func (r *Ring) Opens(ctx context.Context, w store.EncryptionKey) (bool, error) {
	kek, err := r.kek(w.KEKID)
	if err != nil {
		return false, nil // it is not here: that is the answer
	}
	_, err = unwrap(ctx, kek, r.installation, w)
	if errors.Is(err, ErrAltered) {
		return false, nil
	}
	return err == nil, err
}

// ReloadWithout loads the data keys that db has now, but for those that are lost:
// what is sealed under them does not open.
func (r *Ring) ReloadWithout(ctx context.Context, db *store.DB, who store.Actor, lost []store.EncryptionKey) error {
	return r.reload(ctx, db, who, func(w store.EncryptionKey) bool {
		return slices.ContainsFunc(lost, func(l store.EncryptionKey) bool { return l.ActiveDigest == w.ActiveDigest })
	})
}

// Current implements [dbcrypt.Keys].
func (r *Ring) Current() dbcrypt.KeySet {
	if l := r.current.Load(); l != nil {
		return l.keys
	}
	return dbcrypt.KeySet{}
}

// Signing returns the key whose secret is the seed of the Ed25519 key that signs
// checkpoints of the audit log.
func (r *Ring) Signing() dbcrypt.DataKey {
	if l := r.current.Load(); l != nil {
		return l.signing
	}
	return dbcrypt.DataKey{}
}
