package store

import (
	"context"
	"reflect"
	"time"

	"github.com/gatehousehq/gatehouse/internal/origin"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// The audit tag of each field of a record gives its name in a diff and its
// class: track (old and new are shown), secret (that it changed is shown), or
// ignore. A sealed document is of class document, and what is shown of it, member
// by member, is in the fields of the same name and class public and kept. A test
// fails for a field without a class.

// Records returns a zero value of every kind of record that there is a table of.
func Records() (all []any) {
	tx := reflect.TypeFor[Tx]()
	for i := range tx.NumField() {
		if insert, ok := tx.Field(i).Type.MethodByName("Insert"); ok {
			all = append(all, reflect.Zero(insert.Type.Out(0)).Interface())
		}
	}
	return all
}

// SealedKinds returns a zero value of every kind of record that has secrets.
func SealedKinds() (all []Sealed) {
	for _, rec := range Records() {
		if s, ok := reflect.New(reflect.TypeOf(rec)).Interface().(Sealed); ok {
			all = append(all, s)
		}
	}
	return all
}

// EditAction returns what an edit of rec is to rbac and in the audit log.
func EditAction[T Record](rec T) rbac.Action {
	if r, ok := any(rec).(interface{ EditAction() rbac.Action }); ok {
		return r.EditAction()
	}
	return rbac.Update
}

// A ProviderType names the API that clients speak to a provider.
type ProviderType string

// The provider types.
const (
	TypeOpenAI    ProviderType = "openai"
	TypeAnthropic ProviderType = "anthropic"
	TypeGemini    ProviderType = "gemini"
)

// ProviderTypes returns every provider type.
func ProviderTypes() []ProviderType { return []ProviderType{TypeOpenAI, TypeAnthropic, TypeGemini} }

// A Provider is a row of ai_providers: where to send AI traffic, and how.
type Provider struct {
	ID          string       `audit:"id,ignore"`
	Type        ProviderType `audit:"type,track"`
	Name        string       `audit:"name,track"`
	DisplayName string       `audit:"display_name,track"` // "" is NULL
	Enabled     bool         `audit:"enabled,track"`
	Deleted     bool         `audit:"deleted,track"`
	BaseURL     string       `audit:"base_url,track"`
	// Settings is the settings document, sealed as a whole; SettingsPublic is
	// the same without its secret fields, of which its member _secrets names those
	// that are set. It must be written together with Settings.
	Settings       secret.Text `audit:"settings,document"`
	SettingsKeyID  string      `audit:"settings_key_id,ignore"`
	SettingsPublic string      `audit:"settings,public"`
	// SettingsKept names secret fields that a document in the place of Settings
	// takes over from it. It is no column: what is read has none.
	SettingsKept Set      `audit:"settings,kept"`
	Strategy     Strategy `audit:"strategy,track"`
	// Revision is raised by each change of the provider or of its keys.
	Revision int64 `audit:"revision,ignore"`
	// SecretRevision is raised when Settings is written.
	SecretRevision int64     `audit:"secret_revision,track"`
	CreatedAt      time.Time `audit:"created_at,ignore"`
	UpdatedAt      time.Time `audit:"updated_at,ignore"`
}

// A Strategy is how the next key of a provider is chosen.
type Strategy string

// The strategies. After the first key, the others follow by position.
const (
	InOrder     Strategy = "in_order"     // the first by position
	Weighted    Strategy = "weighted"     // each in proportion to its weight
	LeastLoaded Strategy = "least_loaded" // the one with the fewest requests in flight
)

// Strategies returns every strategy.
func Strategies() []Strategy { return []Strategy{InOrder, Weighted, LeastLoaded} }

// Ref implements [Record].
func (p Provider) Ref() Ref { return Ref{Resource: rbac.AIProvider, ID: p.ID, Target: p.Name} }

// SoftDeleted reports whether the provider is kept for history only. To change
// that is to restore it, and to delete it again is to purge it.
func (p Provider) SoftDeleted() bool { return p.Deleted }

// Sealings implements [Sealed].
func (p *Provider) Sealings() []Sealing {
	return []Sealing{{
		Table: "ai_providers", Column: "settings",
		Value: &p.Settings, KeyID: &p.SettingsKeyID, Revision: &p.SecretRevision, Public: &p.SettingsPublic, Keep: &p.SettingsKept,
	}}
}

// Binding implements [Sealed]: the settings are bound to the provider and to
// where its traffic goes.
func (p *Provider) Binding(context.Context, Tx) ([]string, error) {
	return []string{p.ID, origin.Of(p.BaseURL)}, nil
}

// Copy implements [Sealed].
func (p *Provider) Copy() Sealed {
	c := *p
	return &c
}

// A ProviderKey is a row of ai_provider_keys: one upstream credential.
type ProviderKey struct {
	ID         string `audit:"id,ignore"`
	ProviderID string `audit:"provider_id,track"`
	// BaseURL is that of the provider; it is read with the key and not written.
	BaseURL string      `audit:"base_url,ignore"`
	APIKey  secret.Text `audit:"api_key,secret"`
	KeyID   string      `audit:"api_key_key_id,ignore"`
	// Position orders the keys of a provider for failover, lowest first.
	Position int64 `audit:"position,track"`
	// Weight is its share of the turns by [Weighted]; 0 is none.
	Weight      int64     `audit:"weight,track"`
	Label       string    `audit:"label,track"`
	Hint        string    `audit:"hint,track"`
	Fingerprint string    `audit:"fingerprint,track"`
	Disabled    bool      `audit:"disabled,track"`
	ExpiresAt   time.Time `audit:"expires_at,track"` // zero is never
	LastUsedAt  time.Time `audit:"last_used_at,ignore"`
	// SecretRevision is raised when APIKey is written.
	SecretRevision int64     `audit:"secret_revision,track"`
	CreatedAt      time.Time `audit:"created_at,ignore"`
	UpdatedAt      time.Time `audit:"updated_at,ignore"`
}

// Ref implements [Record].
func (k ProviderKey) Ref() Ref {
	return Ref{Resource: rbac.AIProviderKey, ID: k.ID, Target: k.ProviderID}
}

// Sealings implements [Sealed].
func (k *ProviderKey) Sealings() []Sealing {
	return []Sealing{{
		Table: "ai_provider_keys", Column: "api_key",
		Value: &k.APIKey, KeyID: &k.KeyID, Revision: &k.SecretRevision, Hint: &k.Hint, Fingerprint: &k.Fingerprint,
	}}
}

// Binding implements [Sealed]: a key is bound to its provider and to the
// origin that it may be sent to.
func (k *ProviderKey) Binding(ctx context.Context, tx Tx) ([]string, error) {
	if k.BaseURL != "" {
		return []string{k.ProviderID, origin.Of(k.BaseURL)}, nil
	}
	p, err := tx.Providers.Get(ctx, k.ProviderID)
	if err != nil {
		return nil, err
	}
	return []string{k.ProviderID, origin.Of(p.BaseURL)}, nil
}

// Copy implements [Sealed].
func (k *ProviderKey) Copy() Sealed {
	c := *k
	return &c
}

// A Route is a row of ai_routes: a model of our own naming, and the targets that
// it stands for.
type Route struct {
	ID          string        `audit:"id,ignore"`
	Name        string        `audit:"name,track"`
	Description string        `audit:"description,track"` // "" is NULL
	Enabled     bool          `audit:"enabled,track"`
	Strategy    RouteStrategy `audit:"strategy,track"`
	Targets     Targets       `audit:"targets,track"`
	// Revision is raised by each change.
	Revision  int64     `audit:"revision,ignore"`
	CreatedAt time.Time `audit:"created_at,ignore"`
	UpdatedAt time.Time `audit:"updated_at,ignore"`
}

// Ref implements [Record].
func (r Route) Ref() Ref { return Ref{Resource: rbac.AIRoute, ID: r.ID, Target: r.Name} }

// A User is a person.
type User struct {
	ID       string `audit:"id,ignore"`
	Name     string `audit:"name,track"`
	Roles    Set    `audit:"roles,track"` // names, of roles that are built in or custom
	Disabled bool   `audit:"disabled,track"`
	// Issuer and Subject are who the user is at an identity provider, "" for nobody.
	// Whoever that is can sign in as the user.
	Issuer    string    `audit:"issuer,track"`
	Subject   string    `audit:"subject,track"`
	CreatedAt time.Time `audit:"created_at,ignore"`
	UpdatedAt time.Time `audit:"updated_at,ignore"`
}

// Ref implements [Record]. A user owns their own record.
func (u User) Ref() Ref { return Ref{Resource: rbac.User, ID: u.ID, Owner: u.ID, Target: u.Name} }

// A Role is a row of roles: permissions under a name, beside the roles that are
// built in.
type Role struct {
	ID          string `audit:"id,ignore"`
	Name        string `audit:"name,track"`
	Description string `audit:"description,track"`
	// Permissions are in the form of [rbac.Grants.Strings].
	Permissions Set       `audit:"permissions,track"`
	CreatedAt   time.Time `audit:"created_at,ignore"`
	UpdatedAt   time.Time `audit:"updated_at,ignore"`
}

// Ref implements [Record].
func (r Role) Ref() Ref { return Ref{Resource: rbac.CustomRole, ID: r.ID, Target: r.Name} }

// An APIKey is a row of api_keys: a token that a person or tool presents.
type APIKey struct {
	ID      string `audit:"id,ignore"`
	Name    string `audit:"name,track"`
	OwnerID string `audit:"owner_id,track"`
	// OwnerName is the name of the owner; it is read with the key and not
	// written.
	OwnerName string `audit:"owner,ignore"`
	// TokenHash is the SHA-256 of the token, which itself is not kept.
	TokenHash [32]byte `audit:"token_hash,ignore"`
	Scopes    Set      `audit:"scopes,track"`
	// Ceiling is what whoever made the key could do then, in the form of
	// [rbac.Grants.Strings], or [CeilingAll]; the key never does more. dbauthz
	// sets it.
	Ceiling Set `audit:"ceiling,track"`
	// Providers and Models are allow-lists; empty allows all.
	Providers Set `audit:"providers,track"`
	Models    Set `audit:"models,track"`
	// RPM and Concurrency are how many requests a minute and at a time it may send
	// to each gateway; 0 is any number.
	RPM         int64     `audit:"rpm,track"`
	Concurrency int64     `audit:"concurrency,track"`
	ExpiresAt   time.Time `audit:"expires_at,track"` // zero is never
	LastUsedAt  time.Time `audit:"last_used_at,ignore"`
	CreatedAt   time.Time `audit:"created_at,ignore"`
}

// Ref implements [Record].
func (k APIKey) Ref() Ref {
	return Ref{Resource: rbac.APIKey, ID: k.ID, Owner: k.OwnerID, Target: k.Name}
}

// Limited reports whether the key has an allow-list or a limit on requests. It
// would be none if the key could make others.
func (k APIKey) Limited() bool {
	return !k.Providers.IsEmpty() || !k.Models.IsEmpty() || k.RPM > 0 || k.Concurrency > 0
}

// An EncryptionKey is a row of dbcrypt_keys: a data key, wrapped.
type EncryptionKey struct {
	Number int64 `audit:"number,ignore"` // set by the backend
	// ActiveDigest is the HMAC-SHA-256 that names the key in hexadecimal; it
	// moves to RevokedDigest when the key is retired.
	ActiveDigest  string     `audit:"active_key_digest,track"`
	RevokedDigest string     `audit:"revoked_key_digest,track"`
	Purpose       KeyPurpose `audit:"purpose,track"`
	// WrappedKey is ciphertext under the KEK that KEKID names, so it may be
	// read by whoever reads the database.
	WrappedKey string `audit:"wrapped_key,ignore"`
	KEKID      string `audit:"kek_id,track"`
	// FormerKEKs are the ids of the KEKs that wrapped it before.
	FormerKEKs Set    `audit:"former_kek_ids,ignore"`
	CheckValue string `audit:"check_value,ignore"`
	// PromotedAt is when the key began to be used; of those for sealing, the one
	// that was promoted last is the primary. Zero: every replica is to have it
	// first.
	PromotedAt time.Time `audit:"promoted_at,track"`
	// Rotation is what was asked for while the key was the primary.
	Rotation  Rotation  `audit:"rotation,track"`
	CreatedAt time.Time `audit:"created_at,ignore"`
	RevokedAt time.Time `audit:"revoked_at,track"`
}

// A Rotation is how the encryption keys are to be changed.
type Rotation string

// The ways to rotate.
const (
	NoRotation Rotation = ""
	// Rewrap wraps the data keys by the first of the KEKs. No cell is touched.
	Rewrap Rotation = "rewrap"
	// FullRotation does that, and seals every cell again under a new data key.
	FullRotation Rotation = "full"
)

// Active reports whether the key is in use, or about to be.
func (k EncryptionKey) Active() bool { return k.ActiveDigest != "" }

// Digest returns the name of the key, whether it is active or retired.
func (k EncryptionKey) Digest() string {
	if k.Active() {
		return k.ActiveDigest
	}
	return k.RevokedDigest
}

// Retire ends the use of the key for good: what it was wrapped in is gone, so
// that nobody can bring it back, nor open an old copy of a cell with it.
func (k *EncryptionKey) Retire(at time.Time) {
	k.RevokedDigest, k.ActiveDigest, k.WrappedKey, k.RevokedAt = k.ActiveDigest, "", "", at
}

// EditAction says that what is changed of a data key is its rotation.
func (EncryptionKey) EditAction() rbac.Action { return rbac.Rotate }

// A KeyPurpose is what a data key is for.
type KeyPurpose string

// The purposes of data keys.
const (
	ForSealing        KeyPurpose = "seal"
	ForFingerprinting KeyPurpose = "fingerprint"
	ForSigning        KeyPurpose = "sign" // the seed of the Ed25519 key that signs checkpoints of the audit log
)

// KeyPurposes returns every purpose: an installation has a data key of each.
func KeyPurposes() []KeyPurpose { return []KeyPurpose{ForSealing, ForFingerprinting, ForSigning} }

// Ref implements [Record].
func (k EncryptionKey) Ref() Ref {
	return Ref{Resource: rbac.EncryptionKey, ID: k.Digest(), Target: k.Digest()}
}
