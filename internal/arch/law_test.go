package arch_test

// A rule is what one package may import besides the standard library.
type rule struct {
	// own are packages of this module, any is all of them.
	own []string
	any bool
	// modules are packages of others; one ending in "/..." stands for all below
	// it, too.
	modules []string
	// forTests marks a package that only tests, and packages like it, import.
	forTests bool
}

// law has a line for every package of the module. The order is that of
// docs/ARCHITECTURE.md.
var law = map[string]rule{
	"cmd/gatehouse": {own: []string{"internal/app", "internal/cli"}},
	"client":        {own: []string{"internal/secret"}},

	"internal/cli":    {own: []string{"client", "internal/datadir", "internal/origin", "internal/secret"}, modules: []string{cobra, term}},
	"internal/app":    {any: true, modules: []string{age, cobra, pflag, term, uuid}},
	"internal/config": {own: []string{"internal/datadir", "internal/keyring", "internal/oidc", "internal/secret", "internal/seed", "internal/settings"}, modules: []string{pflag, yaml}},

	// The control plane. httpapi knows neither rbac nor the layers: who may do
	// what, and what is written down about it, is not decided there.
	"internal/httpapi":  {own: []string{"client", "internal/accounts", "internal/auditlog", "internal/authn", "internal/catalog", "internal/clientaddr", "internal/custody", "internal/oidc", "internal/recorder", "internal/rotation", "internal/secret", "internal/store"}, modules: []string{huma, uuid}},
	"internal/webui":    {},
	"internal/password": {own: []string{"internal/secret"}, modules: []string{argon2, norm}},
	"internal/oidc":     {own: []string{"internal/secret"}, modules: []string{oidc, oauth2}},
	"internal/authn":    {own: []string{"internal/accounts", "internal/oidc", "internal/password", "internal/rbac", "internal/secret", "internal/store", "internal/token"}, modules: []string{uuid}},
	"internal/catalog":  {own: []string{"internal/origin", "internal/secret", "internal/settings", "internal/store"}, modules: []string{uuid}},
	"internal/accounts": {own: []string{"internal/rbac", "internal/store"}, modules: []string{uuid}},
	"internal/seed":     {own: []string{"internal/catalog", "internal/origin", "internal/secret", "internal/settings", "internal/store"}},
	"internal/tally":    {own: []string{"internal/rbac", "internal/store"}},
	"internal/keysync":  {own: []string{"internal/keypool", "internal/store"}},
	"internal/lastuse":  {own: []string{"internal/rbac", "internal/store"}},
	"internal/recorder": {own: []string{"internal/store", "internal/usage"}},
	"internal/keyring":  {own: []string{"internal/secret", "internal/store", "internal/store/dbcrypt"}},
	"internal/custody":  {own: []string{"internal/rbac", "internal/secret", "internal/store"}},
	"internal/rotation": {own: []string{"internal/keyring", "internal/store"}},
	"internal/rbac":     {},
	"internal/auditlog": {own: []string{"internal/rbac", "internal/secret", "internal/store"}, modules: []string{xmod}},
	"internal/settings": {own: []string{"internal/secret"}},

	// Where encryption keys come from, each with what it needs for that.
	"internal/keyring/command": {own: []string{"internal/keyring", "internal/secret"}},
	"internal/keyring/vault":   {own: []string{"internal/keyring", "internal/netguard", "internal/secret"}},
	"internal/keyring/awskms":  {own: []string{"internal/awscredentials", "internal/keyring", "internal/netguard"}, modules: []string{aws, smithy}},
	"internal/keyring/kektest": {modules: []string{aws}, forTests: true},

	// The store. The layers do not know each other, nor the database.
	"internal/store":          {own: []string{"internal/origin", "internal/rbac", "internal/secret"}},
	"internal/store/dbauthz":  {own: layer},
	"internal/store/dbaudit":  {own: layer},
	"internal/store/dbcrypt":  {own: layer},
	"internal/store/sqlstore": {own: []string{"internal/auditlog", "internal/rbac", "internal/secret", "internal/store", sqlcgen}, modules: []string{pgx, goose, sqlite, uuid}},
	sqlcgen:                   {},
	"internal/store/dbgen":    {own: []string{"internal/rbac", "internal/secret", "internal/store", "internal/token"}, modules: []string{uuid}, forTests: true},
	"internal/store/storetest": {
		own: []string{
			"internal/authn", "internal/keyring", "internal/secret", "internal/store", "internal/store/dbaudit",
			"internal/store/dbauthz", "internal/store/dbcrypt", "internal/store/dbgen", "internal/store/sqlstore",
		},
		modules: []string{pgx}, forTests: true,
	},

	// The gateway. Of these only routing knows the store, to compile from it.
	"internal/gateway": {
		own: []string{
			"internal/breaker", "internal/journal", "internal/keypool", "internal/nesting", "internal/netguard", "internal/quota", "internal/registry", "internal/routing", "internal/secret",
			"internal/token", "internal/translate", "internal/transport", "internal/upstream", "internal/upstream/anthropic", "internal/upstream/azure", "internal/upstream/bedrock", "internal/upstream/gemini", "internal/upstream/openai", "internal/usage", "internal/websocket",
		},
		modules: []string{uuid, gjson},
	},
	"internal/transport":                {own: []string{"internal/netguard", "internal/secret"}},
	"internal/usage":                    {modules: []string{gjson}},
	"internal/journal":                  {own: []string{"internal/usage"}},
	"internal/metrics":                  {own: []string{"internal/awscredentials", "internal/routing", "internal/usage"}, modules: []string{prometheus}},
	"internal/keyprobe":                 {own: []string{"internal/keypool", "internal/routing"}},
	"internal/keypool":                  {own: []string{"internal/registry", "internal/routing"}},
	"internal/routing":                  {own: []string{"internal/awscredentials", "internal/rbac", "internal/secret", "internal/settings", "internal/store", "internal/token", "internal/transport", "internal/upstream/azure", "internal/upstream/bedrock"}},
	"internal/awscredentials":           {own: []string{"internal/netguard", "internal/secret", "internal/transport", "internal/upstream"}, modules: []string{aws, smithy}},
	"internal/translate":                {own: []string{"internal/nesting", "internal/upstream/anthropic", "internal/upstream/openai"}, modules: []string{gjson}},
	"internal/quota":                    {own: []string{"internal/registry"}},
	"internal/breaker":                  {own: []string{"internal/registry"}},
	"internal/upstream":                 {own: []string{"internal/nesting", "internal/secret"}, modules: []string{gjson}},
	"internal/upstream/anthropic":       {own: []string{"internal/secret", "internal/upstream"}},
	"internal/upstream/openai":          {own: []string{"internal/secret", "internal/upstream"}},
	"internal/mockupstream":             {own: []string{"internal/secret"}, modules: []string{gjson}},
	"internal/upstream/azure":           {own: []string{"internal/secret", "internal/upstream", "internal/upstream/openai"}},
	"internal/upstream/gemini":          {own: []string{"internal/nesting", "internal/secret", "internal/upstream"}, modules: []string{gjson}},
	"internal/upstream/bedrock":         {own: []string{"internal/nesting", "internal/secret", "internal/upstream", "internal/upstream/anthropic"}, modules: []string{aws, gjson}},
	"internal/mockupstream/mockazure":   {own: []string{"internal/secret"}, modules: []string{gjson}, forTests: true},
	"internal/mockupstream/mockproxy":   {forTests: true},
	"internal/mockupstream/mockbedrock": {own: []string{"internal/secret"}, modules: []string{gjson}, forTests: true},

	// Leaves: the standard library, and secret.
	"internal/secret":     {},
	"internal/websocket":  {},
	"internal/token":      {own: []string{"internal/secret"}},
	"internal/datadir":    {},
	"internal/clientaddr": {},
	"internal/origin":     {},
	"internal/netguard":   {},
	"internal/registry":   {},
	"internal/nesting":    {},

	// What builds, documents and measures. None of it is in the product.
	"internal/arch":           {},
	"internal/tools/genref":   {any: true, modules: []string{cobra, huma, pflag}, forTests: true},
	"internal/oidc/oidctest":  {forTests: true},
	"client/clienttest":       {own: []string{"client", "internal/token"}, forTests: true},
	"test/bench":              {own: []string{"internal/mockupstream", "internal/secret", "test/clients/realserver"}, forTests: true},
	"test/canary":             {modules: []string{age, pflag}, forTests: true}, // starts servers, as internal/app's tests do
	"test/clients":            {forTests: true},
	"test/console":            {forTests: true},
	"test/chaos":              {forTests: true},
	"test/crash":              {modules: []string{libc}, forTests: true}, // a VFS of SQLite is written in the types of libc
	"test/rotation":           {forTests: true},
	"test/scale":              {forTests: true},
	"test/clients/realserver": {own: []string{"internal/secret"}, forTests: true},
}

const (
	sqlcgen = "internal/store/sqlstore/internal/sqlcgen"

	aws        = "github.com/aws/aws-sdk-go-v2/..."
	age        = "filippo.io/age"
	cobra      = "github.com/spf13/cobra/..."
	gjson      = "github.com/tidwall/gjson"
	goose      = "github.com/pressly/goose/v3/..."
	huma       = "github.com/danielgtaylor/huma/v2/..."
	libc       = "modernc.org/libc"
	pflag      = "github.com/spf13/pflag"
	pgx        = "github.com/jackc/pgx/v5/..."
	smithy     = "github.com/aws/smithy-go/..."
	sqlite     = "modernc.org/sqlite/..."
	prometheus = "github.com/prometheus/client_golang/..."

	oidc   = "github.com/coreos/go-oidc/v3/..."
	oauth2 = "golang.org/x/oauth2"

	argon2 = "golang.org/x/crypto/argon2"
	norm   = "golang.org/x/text/unicode/norm"

	term = "golang.org/x/term"
	uuid = "github.com/google/uuid"
	xmod = "golang.org/x/mod/..."
	yaml = "go.yaml.in/yaml/v3"
)

// layer is what each of the three layers may import.
var layer = []string{"internal/rbac", "internal/secret", "internal/store"}

// testModules are what the tests of every package may import.
var testModules = []string{
	"github.com/coder/websocket",
	"github.com/google/go-cmp/...",
	"github.com/rogpeppe/go-internal/testscript",
	"go.uber.org/goleak",
	"golang.org/x/mod/sumdb/...",
	"pgregory.net/rapid",
}

// A guard says who a dangerous package is for.
type guard struct {
	packages []string // with their tests
	tests    []string // packages whose tests may have it, and they alone
}

// guarded are packages that are for a few only, of the standard library or not.
var guarded = map[string]guard{
	"database/sql":        databases,
	"database/sql/driver": databases,
	pgx:                   databases,
	sqlite:                databases,
	goose:                 databases,
	aws:                   {packages: []string{"internal/awscredentials", "internal/keyring/awskms", "internal/keyring/kektest", "internal/upstream/bedrock"}},
	// One package runs another program: the one that the operator names to print
	// the encryption keys. Rigs do, too, to drive the real binary; the tests of
	// internal/app, to kill a restore in a process of its own and to drill pg_dump
	// and pg_restore; those of internal/journal, to kill a process that writes it; those of test/rotation, a PostgreSQL that they may stop.
	"os/exec": {packages: []string{"internal/keyring/command", "test/bench", "test/clients/realserver"}, tests: []string{"cmd/gatehouse", "internal/app", "internal/journal", "internal/store/dbauthz", "test/canary", "test/clients", "test/console", "test/rotation"}},
	"plugin":  {},
	// What SQLite writes is recorded by a VFS, which stands in memory of C.
	"unsafe": {tests: []string{"test/crash"}},
	libc:     {tests: []string{"test/crash"}},
}

// databases are for the backend, and for the rigs that look underneath it.
var databases = guard{
	packages: []string{"internal/store/sqlstore", sqlcgen, "internal/store/storetest"},
	tests:    []string{"internal/app", "test/canary", "test/clients", "test/crash", "test/rotation"},
}

// storeless are packages that must not import the store or what is below it,
// not even in tests: what does not know of the database cannot wait for it.
var storeless = []string{
	"internal/awscredentials", "internal/breaker", "internal/gateway", "internal/journal", "internal/keypool", "internal/keyprobe", "internal/quota", "internal/translate", "internal/upstream",
	"internal/upstream/anthropic", "internal/upstream/azure", "internal/upstream/bedrock", "internal/upstream/gemini", "internal/upstream/openai", "internal/usage",
}

// shapeless are names that say nothing about what a package is for.
var shapeless = []string{"util", "utils", "common", "types", "models", "helper", "helpers"}

// actorMakers are the packages with literals of store.Actor. Besides, tests may
// have them.
var actorMakers = []string{"internal/authn", "internal/store/dbgen"}

// reveals are the files, tests aside, that take a secret out of its wrapper,
// and what for.
var reveals = map[string]string{
	"client/client.go":                                 "sends the token to Gatehouse",
	"client/clienttest/tokens.go":                      "hands out a made-up token",
	"internal/app/demo.go":                             "gives the demo's token to its client",
	"internal/app/demo_show.go":                        "prints the demo's token, and sends it",
	"internal/app/recover.go":                          "writes the file of the owner's token",
	"internal/app/server.go":                           "hashes the owner's token",
	"internal/app/store.go":                            "writes the file of the owner's token",
	"internal/authn/mint.go":                           "hashes a new token",
	"internal/cli/user_password.go":                    "sends a password to Gatehouse",
	"internal/httpapi/session.go":                      "signs in by a token, and sets the cookie of a session",
	"internal/httpapi/passwords.go":                    "sets the cookie of a session",
	"internal/httpapi/oidc.go":                         "sets the cookie of a session",
	"internal/oidc/oidc.go":                            "sends the client secret to the identity provider",
	"internal/password/password.go":                    "hashes a password",
	"internal/password/rules.go":                       "looks at a password",
	"internal/store/sqlstore/passwords.go":             "keeps the hash of a password",
	"internal/auditlog/checkpoint.go":                  "makes the key of checkpoints from its seed",
	"internal/catalog/check.go":                        "checks the characters of a key",
	"internal/cli/connect.go":                          "gives the token to the client",
	"internal/cli/key.go":                              "sends a key to Gatehouse",
	"internal/cli/provider_add.go":                     "sends keys to Gatehouse",
	"internal/cli/provider_edit.go":                    "sends keys to Gatehouse",
	"internal/cli/keytests.go":                         "sends a key to Gatehouse",
	"internal/config/config.go":                        "looks at the scheme of the database's URL",
	"internal/custody/export.go":                       "writes an export that is encrypted",
	"internal/gateway/attempt.go":                      "adds the headers of the settings, and looks for secrets in an upstream's error",
	"internal/httpapi/tokens.go":                       "shows a new token, once",
	"internal/keyring/file.go":                         "decodes encryption keys",
	"internal/keyring/kek.go":                          "wraps a data key by another KEK",
	"internal/keyring/vault/vault.go":                  "sends the token to Vault",
	"internal/routing/compile.go":                      "parses opened settings",
	"internal/secret/secret.go":                        "makes a hint",
	"internal/settings/bedrock.go":                     "puts the two parts of a pair together",
	"internal/settings/reach.go":                       "looks at the form of a proxy's password",
	"internal/settings/values.go":                      "writes a document to be sealed",
	"internal/settings/field.go":                       "writes a document to be sealed, and looks at the form of a key",
	"internal/store/dbcrypt/cell.go":                   "derives the key of a cell",
	"internal/store/dbcrypt/dbcrypt.go":                "seals and fingerprints",
	"internal/store/dbcrypt/keep.go":                   "merges two documents",
	"internal/store/dbgen/dbgen.go":                    "hashes the token of a test row",
	"internal/store/sqlstore/dialect.go":               "connects to the database",
	"internal/store/storetest/storetest.go":            "connects to the test database",
	"internal/transport/egress.go":                     "logs in to the proxy that settings name",
	"internal/upstream/upstream.go":                    "puts the key into a request for its provider",
	"test/bench/load.go":                               "sends the token of the benchmark",
	"test/clients/realserver/realserver.go":            "sends the owner's token of the server under test",
	"internal/mockupstream/mockbedrock/mockbedrock.go": "asks for an answer in Anthropic's API",
	"internal/mockupstream/mockbedrock/sigv4.go":       "checks a signature",
	"internal/upstream/azure/azure.go":                 "puts the key into a request for its provider",
	"internal/upstream/bedrock/sign.go":                "signs a request for its provider",
	"internal/awscredentials/fetch.go":                 "signs a request to STS",
}
