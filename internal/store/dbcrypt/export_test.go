package dbcrypt

import (
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Place returns where a cell of that sealing stands and what it is bound to.
func Place(installation string, s store.Sealing, rowID string, binding []string) []string {
	return crypt{nil, installation}.place(s, rowID, binding)
}

// OpenAt opens a secret as the layer does.
func OpenAt(keys Keys, installation string, s store.Sealing, rowID string, binding []string) (secret.Text, error) {
	return crypt{keys, installation}.open(s, rowID, binding)
}

// SealCell and OpenCell are the cell alone, at whatever place.
var (
	SealCell = seal
	OpenCell = open
)
