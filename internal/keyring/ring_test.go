package keyring_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbcrypt"
)

// A counter counts how often a KEK is asked, and can be cut off.
type counter struct {
	keyring.KEK
	unwraps atomic.Int64
	away    atomic.Bool
}

var errAway = errors.New("away")

func (c *counter) Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	c.unwraps.Add(1)
	if c.away.Load() {
		return nil, errAway
	}
	return c.KEK.Unwrap(ctx, wrapped, bound)
}

func TestReloadKeepsWhatIsUnwrapped(t *testing.T) {
	t.Parallel()
	local, _ := newKEK(t)
	k := &counter{KEK: local}
	rows := generate(t, k, "here")
	r, err := load(t, rows, k)
	if err != nil {
		t.Fatal(err)
	}
	if n := k.unwraps.Load(); n != 3 {
		t.Fatalf("three keys took %d calls", n)
	}
	before := r.Current()

	// Another key comes in: only that one is unwrapped.
	newer := newRow(t, k, "here", store.ForSealing, 4, 1)
	if err := r.Load(t.Context(), append(slices.Clone(rows), newer), 2); err != nil {
		t.Fatal(err)
	}
	if n := k.unwraps.Load(); n != 4 {
		t.Errorf("one more key took %d calls", n-3)
	}
	if got := r.Current(); got.Primary.Digest != newer.ActiveDigest || got.ByDigest[rows[0].ActiveDigest] != before.Primary {
		t.Error("the new key is not the primary, or the old one is gone")
	}

	// With the KEK away, what is there can be loaded again, and nothing new can.
	k.away.Store(true)
	if err := r.Load(t.Context(), rows, 3); err != nil {
		t.Errorf("the same keys again: %v", err)
	}
	if err := r.Load(t.Context(), append(slices.Clone(rows), newRow(t, k, "here", store.ForSealing, 5, 2)), 4); !errors.Is(err, errAway) {
		t.Errorf("a new key with the KEK away: %v", err)
	}
	if got := r.Current(); got.Epoch != 3 || got.Primary != before.Primary {
		t.Errorf("after a load that failed the ring is of epoch %d", got.Epoch)
	}
	// A row that was altered is not what was unwrapped.
	k.away.Store(false)
	bad := slices.Clone(rows)
	bad[0].CheckValue = bad[1].CheckValue
	if err := r.Load(t.Context(), bad, 5); !errors.Is(err, keyring.ErrAltered) {
		t.Errorf("an altered row: %v", err)
	}
}

func TestEpochIsLoadedOnce(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	rows := generate(t, k, "here")
	r, err := load(t, rows, k)
	if err != nil {
		t.Fatal(err)
	}
	newer := append(slices.Clone(rows), newRow(t, k, "here", store.ForSealing, 4, 1))
	if err := r.Load(t.Context(), newer, 1); err != nil {
		t.Fatal(err)
	}
	if got := r.Current(); got.Primary.Digest != rows[0].ActiveDigest || got.Epoch != 1 {
		t.Error("an epoch that is there was loaded again")
	}
	if err := r.Load(t.Context(), newer, 2); err != nil {
		t.Fatal(err)
	}
	if got := r.Current(); got.Primary.Digest != newer[3].ActiveDigest || got.Epoch != 2 {
		t.Error("the next epoch was not loaded")
	}
}

func TestPromotionDecidesThePrimary(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	rows := generate(t, k, "here")
	row := func(number int64, minutes int) store.EncryptionKey {
		return newRow(t, k, "here", store.ForSealing, number, minutes)
	}
	pending := row(9, 60)
	pending.PromotedAt = time.Time{}
	retired := row(8, 30)
	retired.RevokedDigest, retired.ActiveDigest = retired.ActiveDigest, ""
	later, same := row(4, 10), row(6, 10)
	for name, tt := range map[string]struct {
		more []store.EncryptionKey
		want store.EncryptionKey
	}{
		"alone":                         {nil, rows[0]},
		"promoted later":                {[]store.EncryptionKey{later}, later},
		"promoted later, numbered less": {[]store.EncryptionKey{later, row(7, 5)}, later},
		"promoted at once":              {[]store.EncryptionKey{same, later}, same},
		"not promoted":                  {[]store.EncryptionKey{pending}, rows[0]},
		"retired":                       {[]store.EncryptionKey{retired}, rows[0]},
	} {
		all := append(slices.Clone(rows), tt.more...)
		r, err := load(t, all, k)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := r.Current()
		if got.Primary.Digest != tt.want.ActiveDigest {
			t.Errorf("%s: another key is the primary", name)
		}
		if of, ok := keyring.PrimaryOf(all); !ok || of.ActiveDigest != tt.want.ActiveDigest {
			t.Errorf("%s: PrimaryOf says another", name)
		}
		for _, k := range all { // all that are active open, pending ones too
			if _, ok := got.ByDigest[k.ActiveDigest]; ok != (k.Active() && k.Purpose == store.ForSealing) {
				t.Errorf("%s: key %d opens: %v", name, k.Number, ok)
			}
		}
		if _, ok := got.ByDigest[retired.RevokedDigest]; ok {
			t.Errorf("%s: a retired key still opens", name)
		}
	}
	// With nothing promoted nothing can be sealed.
	_, err := load(t, []store.EncryptionKey{pending, rows[1], rows[2]}, k)
	if missing, ok := errors.AsType[*keyring.MissingKeyError](err); !ok || missing.Purpose != store.ForSealing {
		t.Errorf("only a pending key: %v", err)
	}
	if _, ok := keyring.PrimaryOf([]store.EncryptionKey{pending, rows[1]}); ok {
		t.Error("PrimaryOf takes a pending key")
	}
}

func TestRetiredKEKDoesNotWrap(t *testing.T) {
	t.Parallel()
	older, _ := newKEK(t)
	newer, _ := newKEK(t)
	rows := generate(t, older, "here")
	for i := range rows {
		r := keyring.NewRing("here", []keyring.KEK{newer, older})
		var err error
		if rows[i], err = r.Rewrap(t.Context(), rows[i]); err != nil {
			t.Fatal(err)
		}
		if rows[i].KEKID != newer.ID() || !slices.Contains(rows[i].FormerKEKs.Slice(), older.ID()) {
			t.Fatalf("rewrapped by %s, formerly by %v", rows[i].KEKID, rows[i].FormerKEKs.Slice())
		}
	}
	for name, keks := range map[string][]keyring.KEK{"alone": {newer}, "with the retired one": {newer, older}} {
		if _, err := load(t, rows, keks...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, keks := range map[string][]keyring.KEK{"retired first": {older, newer}, "retired alone": {older}} {
		_, err := load(t, rows, keks...)
		retired, ok := errors.AsType[*keyring.RetiredKEKError](err)
		if !ok || retired.Retired != older.ID() || retired.Current != newer.ID() {
			t.Fatalf("%s: %v", name, err)
		}
		for _, id := range []string{older.ID(), newer.ID()} {
			if !strings.Contains(err.Error(), keyring.Short(id)) {
				t.Errorf("%s: the error does not name %s: %v", name, keyring.Short(id), err)
			}
		}
	}
	// So it is for one that wrapped only what is retired itself.
	gone := newRow(t, older, "here", store.ForSealing, 7, 0)
	gone.RevokedDigest, gone.ActiveDigest = gone.ActiveDigest, ""
	if _, err := load(t, append(generate(t, newer, "here"), gone), older, newer); err == nil {
		t.Error("the KEK of a retired data key wraps")
	}
	// While half of the keys are still wrapped by it, it is not retired.
	half := []store.EncryptionKey{rows[0], rows[1], newRow(t, older, "here", store.ForSigning, 3, 0)}
	if _, err := load(t, half, older, newer); err != nil {
		t.Errorf("amid a rotation: %v", err)
	}
}

func TestAllKEKsUnwrapAndTheFirstWraps(t *testing.T) {
	t.Parallel()
	older, _ := newKEK(t)
	newer, _ := newKEK(t)
	r, err := load(t, generate(t, older, "here"), newer, older)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.KEKs(); !slices.Equal(got, []string{newer.ID(), older.ID()}) {
		t.Errorf("KEKs %v", got)
	}
	k, err := r.Generate(t.Context(), store.ForSealing)
	if err != nil || k.KEKID != newer.ID() {
		t.Errorf("wrapped by %s, %v", k.KEKID, err)
	}
	if _, err := keyring.NewRing("here", nil).Generate(t.Context(), store.ForSealing); err == nil {
		t.Error("a key was wrapped by nothing")
	}
}

func TestRewrappedKeyIsTheSame(t *testing.T) {
	t.Parallel()
	older, _ := newKEK(t)
	newer, _ := newKEK(t)
	other, _ := newKEK(t)
	rows := generate(t, older, "here")
	before, err := load(t, rows, older)
	if err != nil {
		t.Fatal(err)
	}
	r := keyring.NewRing("here", []keyring.KEK{newer, older})
	again := slices.Clone(rows)
	for i := range again {
		if again[i], err = r.Rewrap(t.Context(), again[i]); err != nil {
			t.Fatal(err)
		}
		if again[i].WrappedKey == rows[i].WrappedKey || again[i].ActiveDigest != rows[i].ActiveDigest {
			t.Error("it was not wrapped again, or is another key")
		}
	}
	after, err := load(t, again, newer)
	if err != nil {
		t.Fatal(err)
	}
	if after.Current().Primary != before.Current().Primary || after.Signing() != before.Signing() {
		t.Error("the data keys changed")
	}
	if _, err := keyring.NewRing("here", []keyring.KEK{newer, other}).Rewrap(t.Context(), rows[0]); err == nil {
		t.Error("a key was wrapped again without the KEK that wrapped it")
	}
}

// TestLoadWhileItIsUsed wants each set that is seen to be one that was loaded.
func TestLoadWhileItIsUsed(t *testing.T) {
	t.Parallel()
	k, _ := newKEK(t)
	sets := make([][]store.EncryptionKey, 2)
	for i := range sets {
		sets[i] = generate(t, k, "here")
	}
	r, err := load(t, sets[1], k)
	if err != nil {
		t.Fatal(err)
	}
	var loaders, readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				got := r.Current()
				want := sets[got.Epoch%2]
				if got.Primary.Digest != want[0].ActiveDigest || got.Fingerprinting.Digest != want[1].ActiveDigest ||
					got.ByDigest[got.Primary.Digest] != got.Primary || r.Signing() == (dbcrypt.DataKey{}) {
					t.Error("the keys of two epochs are mixed")
					return
				}
			}
		})
	}
	for i := range 4 {
		loaders.Go(func() {
			for n := range 50 {
				epoch := int64(n*4 + i)
				if err := r.Load(t.Context(), sets[epoch%2], epoch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	loaders.Wait()
	close(done)
	readers.Wait()
}
