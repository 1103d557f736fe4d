package client

import (
	"encoding/json"
	"time"
)

// CreateProvider asks for a new provider.
type CreateProvider struct {
	Type        ProviderType    `json:"type"`
	Name        string          `json:"name"`
	DisplayName *string         `json:"display_name,omitempty"`
	Enabled     *bool           `json:"enabled,omitempty"` // nil means enabled
	BaseURL     string          `json:"base_url"`
	Strategy    string          `json:"strategy,omitempty"` // "" means in_order
	Settings    json.RawMessage `json:"settings,omitempty"` // may hold secrets
	APIKeys     []string        `json:"api_keys,omitempty"` // secrets, in failover order
}

// UpdateProvider asks for a change of a provider. A zero field keeps what is
// there.
type UpdateProvider struct {
	DisplayName Optional[string]          `json:"display_name,omitzero"`
	Enabled     *bool                     `json:"enabled,omitempty"`
	BaseURL     *string                   `json:"base_url,omitempty"`
	Strategy    *string                   `json:"strategy,omitempty"`
	Settings    Optional[json.RawMessage] `json:"settings,omitzero"` // may hold secrets
	// APIKeys, unless nil, says which keys the provider is to have: those that
	// are not listed are removed, so an empty list removes all.
	APIKeys []KeepOrAdd `json:"api_keys,omitzero"`
}

// KeepOrAdd names a key that a provider has, by ID, or brings one to add.
// Exactly one of the two is set.
type KeepOrAdd struct {
	ID     string `json:"id,omitempty"`
	APIKey string `json:"api_key,omitempty"` // secret
}

// AddKey asks for a new key of a provider.
type AddKey struct {
	APIKey    string     `json:"api_key"` // secret
	Label     string     `json:"label,omitempty"`
	Position  *int64     `json:"position,omitempty"` // nil means last
	Weight    *int64     `json:"weight,omitempty"`   // nil means 1
	Disabled  bool       `json:"disabled,omitempty"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // nil means never
}

// UpdateKey asks for a change of a provider key. A zero field keeps what is
// there.
type UpdateKey struct {
	Label     *string             `json:"label,omitempty"`
	Position  *int64              `json:"position,omitempty"`
	Weight    *int64              `json:"weight,omitempty"`
	Disabled  *bool               `json:"disabled,omitempty"`
	ExpiresAt Optional[time.Time] `json:"expires_at,omitzero"`
}

// RotateKey asks for a key to be replaced.
type RotateKey struct {
	APIKey   string `json:"api_key"` // secret
	SkipTest bool   `json:"skip_test,omitempty"`
	// DrainSeconds is how long to wait for requests with the old key to end; nil
	// means 30.
	DrainSeconds *int64 `json:"drain_seconds,omitempty"`
}

// CreateToken asks for a new token.
type CreateToken struct {
	Name      string     `json:"name"`
	Scopes    []string   `json:"scopes"`
	Providers []string   `json:"providers,omitempty"`  // nil means any
	Models    []string   `json:"models,omitempty"`     // nil means any
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // nil means never
	Owner     string     `json:"owner,omitempty"`      // a user by name or id; "" is whoever asks
	// RPM and Concurrency are requests a minute and at a time; 0 means any number.
	RPM         int64 `json:"rpm,omitempty"`
	Concurrency int64 `json:"concurrency,omitempty"`
}

// ListOptions say which page of a list is wanted. The zero value asks for the
// first, with as many items as the server finds sensible.
type ListOptions struct {
	Limit  int    // items on a page; 0 leaves it to the server
	Cursor string // from [Page.NextCursor]; "" is the first page
}

// An Optional is a field that a change keeps, clears or sets. The zero Optional
// keeps it.
type Optional[T any] struct {
	value T
	state optionalState
}

type optionalState uint8

const (
	keep optionalState = iota
	null
	set
)

// Set returns an Optional that sets a field to v.
func Set[T any](v T) Optional[T] { return Optional[T]{value: v, state: set} }

// Null returns an Optional that clears a field.
func Null[T any]() Optional[T] { return Optional[T]{state: null} }

// IsZero reports whether o keeps the field.
func (o Optional[T]) IsZero() bool { return o.state == keep }

// MarshalJSON encodes a value, or null for a field that is to be cleared. A
// struct that holds an Optional leaves out one that keeps with omitzero.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if o.state != set {
		return []byte("null"), nil
	}
	return json.Marshal(o.value)
}
