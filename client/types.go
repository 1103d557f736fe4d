package client

import (
	"encoding/json"
	"time"
)

// The types of this file are what the API answers with. The server encodes
// these very types, and its OpenAPI document takes the descriptions from their
// tags, so client and server cannot disagree about a field.

// A Page is one page of a list. NextCursor asks for the page after it and is
// nil on the last one.
type Page[T any] struct {
	Items      []T     `json:"items" nullable:"false" doc:"The items of this page."`
	NextCursor *string `json:"next_cursor" doc:"Give this as cursor to get the next page; null on the last page."`
}

// A ProviderType names the API that clients speak to a provider.
type ProviderType string

// The provider types.
const (
	OpenAI    ProviderType = "openai"
	Anthropic ProviderType = "anthropic"
	Gemini    ProviderType = "gemini"
)

// A Provider is somewhere to send AI traffic to, and how.
type Provider struct {
	ID          string          `json:"id" format:"uuid" doc:"Identifies the provider for ever."`
	Type        ProviderType    `json:"type" enum:"openai,anthropic,gemini" doc:"The API that clients speak to this provider."`
	Name        string          `json:"name" doc:"Its name in URLs, under /ai/ and in the API. It never changes."`
	DisplayName *string         `json:"display_name" doc:"A name for people; null: use the name."`
	Enabled     bool            `json:"enabled" doc:"Whether the gateway sends traffic to it."`
	Fault       string          `json:"fault,omitempty" doc:"Why the gateway serves no request to it, whatever its keys: its settings cannot be read, for example. It is left out of one that can be served."`
	Deleted     bool            `json:"deleted,omitempty" doc:"Whether it was deleted. It is left out of one that was not."`
	BaseURL     string          `json:"base_url" format:"uri" doc:"Where it is reached, as the vendor's SDK takes it: with /v1 for openai, without for anthropic."`
	Settings    json.RawMessage `json:"settings" doc:"The settings document without its secret fields, of which _secrets names those that are set; null if there is none."`
	Strategy    string          `json:"strategy" enum:"in_order,weighted,least_loaded" doc:"How the first key to try is chosen: the first by position, each in proportion to its weight, or the one with the fewest requests in flight. The others follow by position."`
	Revision    int64           `json:"revision" doc:"Raised by each change of the provider or of its keys. Give it in If-Match to change only what you have seen."`
	APIKeys     []ProviderKey   `json:"api_keys" nullable:"false" doc:"Its keys in failover order."`
	CreatedAt   time.Time       `json:"created_at" doc:"When it was added."`
	UpdatedAt   time.Time       `json:"updated_at" doc:"When it was last changed."`
}

// A KeyState is what the gateway thinks of a provider key right now.
type KeyState string

// The states of a provider key.
const (
	KeyReady      KeyState = "ready"      // may be used
	KeyCooling    KeyState = "cooling"    // rate limited: left out for a while
	KeyFailed     KeyState = "failed"     // refused by the provider: left out, then tried again
	KeyDisabled   KeyState = "disabled"   // switched off
	KeyExpired    KeyState = "expired"    // past its expiry
	KeyUnreadable KeyState = "unreadable" // its sealed value does not open
)

// A ProviderKey is one upstream credential of a provider. The credential
// itself cannot be read back.
type ProviderKey struct {
	ID         string     `json:"id" format:"uuid" doc:"Identifies the key for ever."`
	Position   int64      `json:"position" doc:"Its place in the failover order, lowest first."`
	Weight     int64      `json:"weight" doc:"Its share of the turns where the strategy is weighted; with 0 it has none, and is used only when no other can be."`
	Label      string     `json:"label" doc:"A name for people; may be empty."`
	Hint       string     `json:"hint" doc:"The first three and last four characters of the key; empty for a short key."`
	Disabled   bool       `json:"disabled" doc:"Whether the key is switched off."`
	ExpiresAt  *time.Time `json:"expires_at" doc:"When the key stops being used; null: never."`
	LastUsedAt *time.Time `json:"last_used_at" doc:"When the key was last sent to the provider; null: never."`
	CreatedAt  time.Time  `json:"created_at" doc:"When the key was added."`
	State      KeyState   `json:"state" enum:"ready,cooling,failed,disabled,expired,unreadable" doc:"What the replica that answers thinks of the key right now; the others know it within a second."`
	// StateReason and StateUntil are set for a key that is cooling or failed.
	StateReason string     `json:"state_reason" doc:"Why it is cooling or failed: rate_limited, unauthorized, payment_required, forbidden or insufficient_quota; else empty."`
	StateUntil  *time.Time `json:"state_until" doc:"When a cooling or failed key is tried again; null: it is neither."`
	LastError   *KeyError  `json:"last_error" doc:"The last time in a day or so that the provider turned the key away; null: it did not."`
	// LimitedModels are what a key is left out for that is otherwise as State says.
	LimitedModels []LimitedModel `json:"limited_models" nullable:"false" doc:"The models that the key is rate limited for by themselves, as the replica that answers found out; for others it is used as its state says."`
}

// A LimitedModel is a model that a key is rate limited for.
type LimitedModel struct {
	Model string    `json:"model" doc:"The model, as clients ask for it."`
	Until time.Time `json:"until" doc:"When the key is tried with it again."`
}

// A KeyError says when and why a provider turned a key away. It has nothing of
// what the provider sent.
type KeyError struct {
	Reason string    `json:"reason" doc:"As state_reason."`
	Status int64     `json:"status" doc:"The HTTP status."`
	Time   time.Time `json:"time" doc:"When it was."`
	Model  string    `json:"model" doc:"The model that was limited by itself; empty: the key as a whole."`
}

// A KeyTest is what came of trying a key with its provider. It has nothing of what
// the provider sent.
type KeyTest struct {
	KeyID     string `json:"key_id" doc:"The key; empty for a provider without keys, and for a key that is not stored."`
	Label     string `json:"label" doc:"Its name for people; may be empty."`
	Hint      string `json:"hint" doc:"Its first and last characters; may be empty."`
	OK        bool   `json:"ok" doc:"Whether the provider accepts the key."`
	Class     string `json:"class" doc:"How it ended: ok, not_permitted (accepted, but not to list models), key_refused, insufficient_quota, rate_limited, unavailable, no_models, client_error, redirect, timeout, provider_fault, or a way in which there was no connection."`
	Status    int64  `json:"status" doc:"The HTTP status; 0 if there was no answer."`
	LatencyMS int64  `json:"latency_ms" doc:"How long it took, in milliseconds."`
	Message   string `json:"message" doc:"What to make of it, for people."`
}

// A ProviderTest is what came of trying every key of a provider.
type ProviderTest struct {
	OK   bool      `json:"ok" doc:"Whether every key that is switched on is accepted."`
	Keys []KeyTest `json:"keys" nullable:"false" doc:"The keys in failover order; one without an id for a provider that has none."`
}

// A KeyRotation is a key that took the place of another.
type KeyRotation struct {
	Key      ProviderKey `json:"key" doc:"The new key."`
	Replaced string      `json:"replaced" doc:"The id of the key that was removed."`
	Test     *KeyTest    `json:"test" doc:"What came of trying the new key; null: it was not tried."`
	Drained  bool        `json:"drained" doc:"Whether the last request with the old key is over. If not, revoke it at the provider later."`
}

// A User is a person who has tokens.
type User struct {
	ID        string    `json:"id" format:"uuid" doc:"Identifies the user for ever."`
	Name      string    `json:"name" doc:"What they are known by."`
	Roles     []string  `json:"roles" nullable:"false" doc:"The names of their roles, which together say what they may do."`
	Disabled  bool      `json:"disabled" doc:"Whether their tokens are refused."`
	CreatedAt time.Time `json:"created_at" doc:"When they were added."`
	UpdatedAt time.Time `json:"updated_at" doc:"When they were last changed."`
}

// Me is who a token belongs to, and what it may do.
type Me struct {
	ID          string   `json:"id" format:"uuid" doc:"The id of the user."`
	Name        string   `json:"name" doc:"The name of the user."`
	TokenID     string   `json:"token_id" doc:"The id of the token."`
	TokenName   string   `json:"token_name" doc:"The name of the token."`
	Permissions []string `json:"permissions" nullable:"false" doc:"What the token may do: its owner's roles, narrowed by its scopes, its lists, and what its maker could do."`
}

// A Role is permissions under a name.
type Role struct {
	ID          *string    `json:"id" doc:"Identifies the role for ever; null for one that is built in."`
	Name        string     `json:"name" doc:"What users are given it by."`
	Description string     `json:"description" doc:"What it is for; may be empty."`
	BuiltIn     bool       `json:"built_in" doc:"Whether it comes with Gatehouse, and cannot be changed."`
	Permissions []string   `json:"permissions" nullable:"false" doc:"What it grants: RESOURCE:ACTION on every record, RESOURCE:ACTION:own on one's own."`
	CreatedAt   *time.Time `json:"created_at" doc:"When it was made; null for one that is built in."`
	UpdatedAt   *time.Time `json:"updated_at" doc:"When it was last changed; null for one that is built in."`
}

// A Token is what a person or tool presents to Gatehouse. The token itself is
// shown once, when it is created.
type Token struct {
	ID          string     `json:"id" format:"uuid" doc:"Identifies the token for ever."`
	Name        string     `json:"name" doc:"A name for people."`
	Owner       string     `json:"owner" doc:"The user whose token it is."`
	Scopes      []string   `json:"scopes" nullable:"false" doc:"What it may do of what its owner may."`
	Providers   []string   `json:"providers" doc:"The names of the providers it may use; null: any."`
	RPM         int64      `json:"rpm" doc:"How many requests it may send in a minute, to each replica; 0: any number."`
	Concurrency int64      `json:"concurrency" doc:"How many requests it may have under way at a time, at each replica; 0: any number."`
	Models      []string   `json:"models" doc:"The models it may use, a trailing * matching any ending; null: any."`
	ExpiresAt   *time.Time `json:"expires_at" doc:"When it stops working; null: never."`
	LastUsedAt  *time.Time `json:"last_used_at" doc:"When it was last presented; null: never."`
	CreatedAt   time.Time  `json:"created_at" doc:"When it was created."`
}

// A CreatedToken is a token at the one time that it can be seen. Printing or
// logging it leaves the token itself out; encoding it as JSON does not.
type CreatedToken struct {
	Token
	Secret string `json:"token" doc:"The token itself. It is shown this once."`
}

// An AuditEntry says who did what to which resource.
type AuditEntry struct {
	Index        int64           `json:"index" doc:"Its place in the log; later entries have higher ones."`
	Time         time.Time       `json:"time" doc:"When it happened."`
	Actor        AuditActor      `json:"actor" doc:"Who did it."`
	Action       string          `json:"action" doc:"What was done: create, update, delete, restore (of what was deleted; of audit_log: the database, from a backup), purge (for good) and so on."`
	ResourceType string          `json:"resource_type" doc:"The kind of resource it was done to."`
	ResourceID   string          `json:"resource_id" doc:"The id of the resource."`
	Target       string          `json:"target" doc:"The resource as people know it; for a provider key, the id of its provider."`
	RequestID    string          `json:"request_id" doc:"The request that asked for it; empty for what the system did of itself."`
	Address      string          `json:"address" doc:"The address the request came from; may be empty."`
	UserAgent    string          `json:"user_agent" doc:"What the client called itself; may be empty."`
	Count        int64           `json:"count" doc:"How often it happened, for what is counted by the minute (refusals, failed logins, uses of secrets); else 1."`
	Diff         json.RawMessage `json:"diff" doc:"What changed, by field: old and new values, or that a secret changed."`
}

// An AuditCheckpoint says what the audit log was at a moment, signed.
type AuditCheckpoint struct {
	Time       time.Time `json:"time" doc:"When it was signed."`
	Size       int64     `json:"size" doc:"How many entries the log had: it covers those with an index up to this."`
	Checkpoint string    `json:"audit_checkpoint" doc:"The checkpoint as a signed note: https://c2sp.org/tlog-checkpoint."`
	Key        string    `json:"key" doc:"The public key that the signature is verified with."`
}

// An AuditProof shows an entry to be in the log that a checkpoint is of.
type AuditProof struct {
	Index      int64           `json:"index" doc:"The index of the entry."`
	Record     *string         `json:"record" doc:"The entry in its canonical form, whose RFC 6962 leaf hash is proved; null if retention removed it."`
	Hashes     []string        `json:"hashes" nullable:"false" doc:"The hashes from the leaf to the root, in base64."`
	Checkpoint AuditCheckpoint `json:"checkpoint" doc:"The checkpoint that has the root."`
}

// An AuditActor is who an audit entry is about.
type AuditActor struct {
	Kind      string `json:"kind" doc:"user, system for a part of Gatehouse itself, or anonymous for whoever was not let in."`
	ID        string `json:"id" doc:"The id of the user, or the name of the part of the system."`
	Name      string `json:"name" doc:"The name of the user or part at the time."`
	TokenID   string `json:"token_id" doc:"The id of the token used; may be empty."`
	TokenName string `json:"token_name" doc:"The name of the token used; may be empty."`
}

// A Version says which program answers.
type Version struct {
	Version string `json:"version" doc:"The release."`
	Commit  string `json:"commit" doc:"The commit it was built from; may be empty."`
	Go      string `json:"go" doc:"The Go version it was built with."`
}
