package dbcrypt

import (
	"context"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Place returns where a cell of that sealing stands and what it is bound to.
func Place(installation string, s store.Sealing, rowID string, binding []string) []string {
	return crypt{installation: installation}.place(s, rowID, binding)
}

// OpenAt opens a secret as the layer does.
func OpenAt(keys Keys, installation string, s store.Sealing, rowID string, binding []string) (secret.Text, error) {
	return crypt{keys.Current(), installation, sameEpoch{keys.Current().Epoch, nil}}.open(context.Background(), s, rowID, binding)
}

// sameEpoch says that no newer keys are there.
type sameEpoch struct {
	epoch int64
	store.Changes
}

func (s sameEpoch) KeyEpoch(context.Context) (int64, error) { return s.epoch, nil }

// SealCell and OpenCell are the cell alone, at whatever place.
var (
	SealCell = seal
	OpenCell = open
)
