package dbcrypt

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// keep gives the document in s, which is about to be sealed, the members that it
// keeps of the one that is stored. That has to open where the new one will stand:
// what is bound to another origin is not kept. Where members cannot be had,
// whoever edits is told to give them: nothing of either document goes into the
// error.
func (c crypt) keep(ctx context.Context, stored, s store.Sealing, rowID string, binding []string) error {
	lost := &store.InvalidError{Field: s.Column, Reason: "cannot keep secret fields, because the stored document cannot be read: give all of them again"}
	plain, err := c.open(ctx, stored, rowID, binding)
	if errors.Is(err, store.ErrKeysChanged) {
		return err
	}
	if err != nil {
		return lost
	}
	var from, into map[string]json.RawMessage
	if json.Unmarshal([]byte(plain.Reveal()), &from) != nil || json.Unmarshal([]byte(s.Value.Reveal()), &into) != nil || into == nil {
		return lost
	}
	for name := range s.Keep.All() {
		v, ok := from[name]
		if !ok {
			return lost
		}
		into[name] = v
	}
	b, err := json.Marshal(into)
	if err != nil {
		return lost
	}
	*s.Value = secret.New(string(b))
	return nil
}
