package custody

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// An exported is a provider with its secrets in the clear, as a line of an
// export.
type exported struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	DisplayName string          `json:"display_name,omitempty"`
	Enabled     bool            `json:"enabled"`
	BaseURL     string          `json:"base_url"`
	Settings    json.RawMessage `json:"settings,omitempty"`
	Keys        []exportedKey   `json:"api_keys"`
}

type exportedKey struct {
	ID        string     `json:"id"`
	Label     string     `json:"label,omitempty"`
	Disabled  bool       `json:"disabled,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	APIKey    string     `json:"api_key"`
}

// Export writes every provider that is not deleted with its secrets in the clear
// to w, a line of JSON each: w must be an encryption of them. It returns how many
// secrets there were, and which records do not open; those are left out.
func Export(ctx context.Context, db *store.DB, who store.Actor, w io.Writer) (secrets int, unreadable []store.Ref, err error) {
	var lines []exported
	err = db.View(ctx, who, func(tx store.Tx) error {
		e := exporter{ctx: ctx, tx: tx}
		lines = nil // it may run again, and what was written could not be taken back
		providers, err := tx.Providers.List(ctx, store.Query{IncludeDisabled: true})
		if err != nil {
			return err
		}
		for _, p := range providers {
			line, err := e.provider(p)
			if err != nil {
				return err
			}
			lines = append(lines, line)
		}
		secrets, unreadable = e.secrets, e.unreadable
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, line := range lines {
		if err := out.Encode(line); err != nil {
			return 0, nil, fmt.Errorf("write the export: %w", err)
		}
	}
	return secrets, unreadable, nil
}

type exporter struct {
	ctx        context.Context // of one call
	tx         store.Tx
	secrets    int
	unreadable []store.Ref
}

func (e *exporter) provider(p store.Provider) (exported, error) {
	line := exported{
		ID: p.ID, Type: string(p.Type), Name: p.Name, DisplayName: p.DisplayName, Enabled: p.Enabled, BaseURL: p.BaseURL,
		Keys: []exportedKey{},
	}
	settings, err := e.open(&p, "settings")
	if err != nil {
		return line, err
	}
	if settings != "" {
		line.Settings = json.RawMessage(settings)
	}
	keys, err := e.tx.ProviderKeys.List(e.ctx, store.Query{ProviderID: p.ID})
	if err != nil {
		return line, err
	}
	for _, k := range keys {
		text, err := e.open(&k, "api_key")
		if err != nil {
			return line, err
		}
		if text == "" {
			continue
		}
		key := exportedKey{ID: k.ID, Label: k.Label, Disabled: k.Disabled, APIKey: text}
		if !k.ExpiresAt.IsZero() {
			key.ExpiresAt = &k.ExpiresAt
		}
		line.Keys = append(line.Keys, key)
	}
	return line, nil
}

// open returns a secret in the clear, "" if there is none or it does not open.
func (e *exporter) open(rec store.Sealed, column string) (string, error) {
	opened, err := e.tx.Secrets.Open(e.ctx, rec)
	if errors.Is(err, store.ErrUnreadable) {
		e.unreadable = append(e.unreadable, rec.Ref())
		return "", nil
	}
	if err != nil || opened[column].IsZero() {
		return "", err
	}
	e.secrets++
	return opened[column].Reveal(), nil
}
