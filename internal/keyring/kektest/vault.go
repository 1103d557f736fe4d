// Package kektest has servers that behave as Vault and AWS KMS do, for tests. They
// are fakes: faithful in what this product uses of them (requests, answers,
// status codes, real cryptography, versions, what is refused) and no further. They
// listen on the loopback interface.
package kektest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A Vault is a fake of the Transit engine of HashiCorp Vault and OpenBao, as of
// 1.13. Its fields may be changed while no request runs.
type Vault struct {
	*httptest.Server

	// Tokens are those that are taken, with the operations that each may do:
	// "keys", "encrypt", "decrypt". An engine makes a key that is encrypted with
	// and is not there if the token may "create".
	Tokens    map[string][]string
	Namespace string
	// Sealed answers as a sealed server does; Fail, with that status, so many
	// requests to come.
	Sealed       bool
	Fail, Status int
	// Forgetful ignores associated data, as Vault did before 1.13; Echo repeats the
	// token and the plaintext in its errors, as no Vault does.
	Forgetful, Echo bool
	// Requests counts those that came.
	Requests int

	mu   sync.Mutex
	keys map[string]*transitKey // by mount/name
}

// A transitKey has its versions, the first of which is number 1.
type transitKey struct {
	kind          string
	derived       bool
	versions      [][]byte
	minDecryption int
}

// NewVault starts a fake, with TLS if so asked, that ends with the test. It has an
// engine at each of mounts.
func NewVault(t testing.TB, encrypted bool) *Vault {
	t.Helper()
	v := &Vault{Tokens: map[string][]string{}, keys: map[string]*transitKey{}}
	v.Server = httptest.NewUnstartedServer(v)
	v.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it are part of tests
	if encrypted {
		v.StartTLS()
	} else {
		v.Start()
	}
	t.Cleanup(v.Close)
	return v
}

// CreateKey makes a key, at a path mount/name, of a type such as aes256-gcm96.
func (v *Vault) CreateKey(path, kind string, derived bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[path] = &transitKey{kind: kind, derived: derived, versions: [][]byte{random(32)}, minDecryption: 1}
}

// DeleteKey deletes a key.
func (v *Vault) DeleteKey(path string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.keys, path)
}

// Rotate adds a version to a key. Those below minDecryption decrypt no more.
func (v *Vault) Rotate(path string, minDecryption int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.keys[path]
	k.versions = append(k.versions, random(32))
	k.minDecryption = minDecryption
}

// Keys returns the paths of the keys that there are.
func (v *Vault) Keys() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	for path := range v.keys {
		out = append(out, path)
	}
	return out
}

func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Requests++
	var in struct {
		Plaintext, Ciphertext string
		AssociatedData        string `json:"associated_data"`
	}
	read := json.NewDecoder(r.Body).Decode(&in)
	refuse := func(status int, errors ...string) {
		if v.Echo {
			errors = append([]string{"your token was " + r.Header.Get("X-Vault-Token") + " and your secret " + in.Plaintext}, errors...)
		}
		answer(w, status, map[string]any{"errors": append([]string{}, errors...)})
	}
	if v.Fail > 0 {
		v.Fail--
		refuse(v.Status, "1 error occurred:\n\t* internal error\n\n")
		return
	}
	if v.Sealed {
		refuse(http.StatusServiceUnavailable, "Vault is sealed")
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	if len(parts) < 3 || !strings.HasPrefix(r.URL.Path, "/v1/") {
		refuse(http.StatusNotFound, "no handler for route")
		return
	}
	name, operation, mount := parts[len(parts)-1], parts[len(parts)-2], strings.Join(parts[:len(parts)-2], "/")
	path := mount + "/" + name
	k := v.keys[path]
	rights, known := v.Tokens[r.Header.Get("X-Vault-Token")]
	switch {
	case !known || r.Header.Get("X-Vault-Namespace") != v.Namespace: // a token counts in its namespace only
		refuse(http.StatusForbidden, "permission denied")
		return
	case !slices.Contains(rights, operation),
		operation == "encrypt" && k == nil && !slices.Contains(rights, "create"):
		refuse(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
		return
	case !slices.ContainsFunc(v.mounts(), func(m string) bool { return m == mount }):
		refuse(http.StatusNotFound, fmt.Sprintf("no handler for route %q. route entry not found.", mount+"/"+operation+"/"+name))
		return
	}
	if r.Method != http.MethodGet && read != nil {
		refuse(http.StatusBadRequest, "failed to parse JSON input")
		return
	}
	var data map[string]any
	var err error
	switch r.Method + " " + operation {
	case "GET keys":
		if k == nil {
			refuse(http.StatusNotFound)
			return
		}
		data = k.describe(name)
	case "POST encrypt", "PUT encrypt":
		if k == nil {
			k = &transitKey{kind: "aes256-gcm96", versions: [][]byte{random(32)}, minDecryption: 1}
			v.keys[path] = k
		}
		data, err = k.encrypt(in.Plaintext, v.bound(in.AssociatedData))
	case "POST decrypt", "PUT decrypt":
		if k == nil {
			refuse(http.StatusBadRequest, "encryption key not found")
			return
		}
		data, err = k.decrypt(in.Ciphertext, v.bound(in.AssociatedData))
	default:
		refuse(http.StatusMethodNotAllowed, "1 error occurred:\n\t* unsupported operation\n\n")
		return
	}
	if err != nil {
		refuse(http.StatusBadRequest, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"request_id": "0f1e2d3c-0000-4000-8000-000000000000", "lease_id": "", "renewable": false, "lease_duration": 0,
		"data": data, "wrap_info": nil, "warnings": nil, "auth": nil,
	})
}

// mounts are where there is an engine: wherever there is a key, and at "transit".
func (v *Vault) mounts() []string {
	out := []string{"transit"}
	for path := range v.keys {
		out = append(out, path[:strings.LastIndexByte(path, '/')])
	}
	return out
}

func (v *Vault) bound(s string) string {
	if v.Forgetful {
		return ""
	}
	return s
}

func (k *transitKey) describe(name string) map[string]any {
	versions := map[string]int64{}
	for i := range k.versions {
		if i+1 >= k.minDecryption {
			versions[strconv.Itoa(i+1)] = 1554654295
		}
	}
	return map[string]any{
		"name": name, "type": k.kind, "derived": k.derived, "keys": versions, "latest_version": len(k.versions), "min_available_version": 0,
		"min_decryption_version": k.minDecryption, "min_encryption_version": 0, "exportable": false, "allow_plaintext_backup": false, "deletion_allowed": false,
		"supports_encryption": true, "supports_decryption": true, "supports_derivation": k.aead(), "supports_signing": !k.aead(),
	}
}

func (k *transitKey) aead() bool {
	return strings.Contains(k.kind, "gcm") || strings.Contains(k.kind, "poly1305")
}

func (k *transitKey) check(associated string) ([]byte, error) {
	if k.derived {
		return nil, fmt.Errorf("missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key")
	}
	if associated != "" && !k.aead() {
		return nil, fmt.Errorf("'[0].associated_data' provided for non-AEAD cipher suite %s", k.kind)
	}
	return base64.StdEncoding.DecodeString(associated)
}

func (k *transitKey) encrypt(plaintext, associated string) (map[string]any, error) {
	aad, err := k.check(associated)
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(plaintext)
	if err != nil {
		return nil, err
	}
	n := len(k.versions)
	return map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", n, base64.StdEncoding.EncodeToString(seal(k.versions[n-1], raw, aad))), "key_version": n}, nil
}

func (k *transitKey) decrypt(ciphertext, associated string) (map[string]any, error) {
	aad, err := k.check(associated)
	if err != nil {
		return nil, err
	}
	rest, ok := strings.CutPrefix(ciphertext, "vault:v")
	if !ok {
		return nil, fmt.Errorf("invalid ciphertext: no prefix")
	}
	number, encoded, ok := strings.Cut(rest, ":")
	if !ok {
		return nil, fmt.Errorf("invalid ciphertext: wrong number of fields")
	}
	version, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("invalid ciphertext: version number could not be decoded")
	}
	version = max(version, 1) // those of before there were versions have none
	if version > len(k.versions) {
		return nil, fmt.Errorf("invalid ciphertext: version is too new")
	}
	if version < k.minDecryption {
		return nil, fmt.Errorf("ciphertext or signature version is disallowed by policy (too old)")
	}
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("invalid ciphertext: could not decode base64")
	}
	raw, err := unseal(k.versions[version-1], sealed, aad)
	if err != nil {
		return nil, err
	}
	return map[string]any{"plaintext": base64.StdEncoding.EncodeToString(raw)}, nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func newGCM(key []byte) cipher.AEAD {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the keys are made here
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		panic(err)
	}
	return g
}

func seal(key, plain, bound []byte) []byte {
	nonce := random(12)
	return newGCM(key).Seal(nonce, nonce, plain, bound)
}

func unseal(key, sealed, bound []byte) ([]byte, error) {
	if len(sealed) < 12 {
		return nil, fmt.Errorf("invalid ciphertext length")
	}
	return newGCM(key).Open(nil, sealed[:12], sealed[12:], bound) // "cipher: message authentication failed"
}
