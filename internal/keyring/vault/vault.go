// Package vault wraps data keys by a key of the Transit engine of HashiCorp
// Vault or OpenBao, which never leaves it.
//
// It is set up by the variables that their own clients have: VAULT_ADDR,
// VAULT_NAMESPACE, VAULT_CACERT, and VAULT_TOKEN or VAULT_TOKEN_FILE. The file is
// read for each call, so that a token that Vault Agent renews counts. What belongs
// to a data key goes with it as associated data. The versions of a key do not
// show here: Vault encrypts with the newest and knows which to decrypt with.
package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

const (
	callTime  = 10 * time.Second
	maxAnswer = 64 << 10
	// maxSaid is how much is shown of what Vault says, in characters.
	maxSaid = 200
	// tries is how often a call is made that does not get through. The waits
	// between them are firstWait, and four times that.
	tries     = 3
	firstWait = 100 * time.Millisecond
)

// A transit is a key of a Transit engine.
type transit struct {
	mount, key string
	address    string // without a path
	namespace  string
	token      func() (secret.Text, error)
	client     *http.Client
}

var _ keyring.Opener = Open

// Open returns the key MOUNT/NAME of the Transit engine that the environment leads
// to, once it is known to be there and to do what is needed of it.
func Open(ctx context.Context, name string, env keyring.Environ) ([]keyring.KEK, error) {
	k, err := newTransit(name, env)
	if err != nil {
		return nil, err
	}
	if err := k.probe(ctx); err != nil {
		return nil, k.at(err)
	}
	return []keyring.KEK{k}, nil
}

// ID implements [keyring.KEK].
func (k *transit) ID() string { return "vault:" + k.mount + "/" + k.key }

// at says where an error is from.
func (k *transit) at(err error) error {
	if err == nil || errors.Is(err, keyring.ErrAltered) {
		return err
	}
	return fmt.Errorf("key %s/%s of Vault at %s: %w", k.mount, k.key, k.address, err)
}

// Wrap implements [keyring.KEK].
func (k *transit) Wrap(ctx context.Context, dataKey, bound []byte) ([]byte, error) {
	wrapped, err := k.encrypt(ctx, dataKey, bound)
	return wrapped, k.at(err)
}

// Unwrap implements [keyring.KEK].
func (k *transit) Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	raw, err := k.decrypt(ctx, wrapped, bound)
	return raw, k.at(err)
}

func (k *transit) encrypt(ctx context.Context, dataKey, bound []byte) ([]byte, error) {
	in := map[string]string{"plaintext": base64.StdEncoding.EncodeToString(dataKey), "associated_data": base64.StdEncoding.EncodeToString(bound)}
	var out struct{ Data struct{ Ciphertext string } }
	if err := k.call(ctx, http.MethodPost, "encrypt", in, &out); err != nil {
		return nil, err
	}
	if out.Data.Ciphertext == "" {
		return nil, errNotVault
	}
	return []byte(out.Data.Ciphertext), nil
}

func (k *transit) decrypt(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	if len(wrapped) == 0 {
		return nil, keyring.ErrAltered
	}
	in := map[string]string{"ciphertext": string(wrapped), "associated_data": base64.StdEncoding.EncodeToString(bound)}
	var out struct{ Data struct{ Plaintext string } }
	err := k.call(ctx, http.MethodPost, "decrypt", in, &out)
	if refusal, ok := errors.AsType[*refusalError](err); ok && refusal.altered() {
		return nil, keyring.ErrAltered
	}
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(out.Data.Plaintext)
	if err != nil || len(raw) == 0 {
		return nil, errNotVault // not with the error, which tells of the bytes
	}
	return raw, nil
}

// probe finds out whether the key is there and binds what it encrypts. Asking for
// the key comes first: encrypting by one that is not there makes it, if the token
// may. Vault before 1.13 ignores associated data without a word.
func (k *transit) probe(ctx context.Context) error {
	var about struct{ Data struct{ Type string } }
	if err := k.call(ctx, http.MethodGet, "keys", nil, &about); err != nil {
		return err
	}
	if about.Data.Type == "" {
		return errNotVault
	}
	raw, bound := make([]byte, 32), []byte("gatehouse probe")
	rand.Read(raw) // never fails
	wrapped, err := k.encrypt(ctx, raw, bound)
	if refusal, ok := errors.AsType[*refusalError](err); ok && refusal.status == http.StatusBadRequest {
		return fmt.Errorf("its type %s does not serve: it takes one with associated data and without a context, such as aes256-gcm96 (%w)", plain(about.Data.Type), err)
	}
	if err != nil {
		return err
	}
	back, err := k.decrypt(ctx, wrapped, bound)
	if err == nil && !bytes.Equal(back, raw) {
		err = errNotVault
	}
	if err != nil {
		return err
	}
	switch _, err := k.decrypt(ctx, wrapped, []byte("something else")); {
	case err == nil:
		return errors.New("it does not bind associated data: Vault 1.13 or later is needed, or OpenBao")
	case !errors.Is(err, keyring.ErrAltered):
		return err
	}
	return nil
}

var errNotVault = errors.New("the answer is not one of Vault's")

// call asks for an operation with the key, again if that does not get through.
func (k *transit) call(ctx context.Context, method, operation string, in map[string]string, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	wait := firstWait
	for try := 1; ; try++ {
		again, err := k.once(ctx, method, operation, body, out, in["plaintext"])
		if err == nil || !again || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
			wait *= 4
		}
	}
}

// once makes a call, and reports whether another try may do better. Neither the
// plaintext, if it sends one, nor the token shows in its errors.
func (k *transit) once(ctx context.Context, method, operation string, body []byte, out any, plaintext string) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	token, err := k.token()
	if err != nil {
		return false, err
	}
	url := k.address + "/v1/" + k.mount + "/" + operation + "/" + k.key
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("X-Vault-Token", token.Reveal())
	req.Header.Set("X-Vault-Request", "true") // Vault Agent passes on nothing else, if told so
	if k.namespace != "" {
		req.Header.Set("X-Vault-Namespace", k.namespace)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := k.client.Do(req)
	if err != nil {
		return true, unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }() // nothing hangs on it
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return true, unreachable(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		r := &refusalError{status: res.StatusCode, operation: operation, mount: k.mount, key: k.key}
		var said struct{ Errors []string }
		if json.Unmarshal(answer, &said) == nil {
			for _, text := range said.Errors {
				for _, sent := range []string{token.Reveal(), plaintext} { // whoever answers may repeat it
					if sent != "" {
						text = strings.ReplaceAll(text, sent, secret.Redacted)
					}
				}
				r.said = append(r.said, plain(text))
			}
		}
		return res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests, r
	}
	if json.Unmarshal(answer, out) != nil {
		return false, errNotVault // not with the error, which may quote the answer
	}
	return false, nil
}

// A refusalError is an answer of Vault that is not what was asked for.
type refusalError struct {
	status                int
	operation, mount, key string
	said                  []string
}

func (e *refusalError) has(text string) bool {
	return slices.ContainsFunc(e.said, func(s string) bool { return strings.Contains(s, text) })
}

// altered reports whether Vault says that the key did not encrypt that, or not
// with that associated data.
func (e *refusalError) altered() bool {
	return e.status == http.StatusBadRequest && e.operation == "decrypt" && !e.has("version is too new") &&
		(e.has("invalid ciphertext") || e.has("message authentication failed"))
}

func (e *refusalError) Error() string {
	what := fmt.Sprintf("it answers with status %d", e.status)
	switch {
	case e.status == http.StatusForbidden:
		what = fmt.Sprintf("the token may not do that (403), or is no longer good: it needs read on %[1]s/keys/%[2]s, and update on %[1]s/encrypt/%[2]s and %[1]s/decrypt/%[2]s", e.mount, e.key)
	case e.status == http.StatusNotFound && e.operation == "keys" && len(e.said) == 0, e.has("encryption key not found"):
		what = fmt.Sprintf("there is no such key: vault write -f %s/keys/%s makes one; one that was deleted is gone, with all that it wrapped", e.mount, e.key)
	case e.status == http.StatusNotFound:
		what = fmt.Sprintf("there is no Transit engine at %s (404), or VAULT_NAMESPACE is not its namespace", e.mount)
	case e.has("sealed"):
		what = "it is sealed (503): unseal it"
	case e.status == http.StatusServiceUnavailable:
		what = "it is not ready (503)"
	case e.status >= 300 && e.status < 400:
		what = fmt.Sprintf("it sends elsewhere (status %d), where the token is not taken: name the active server in VAULT_ADDR", e.status)
	case e.has("too old"):
		what = "the version of the key that wrapped the data key is below min_decryption_version: lower that again"
	case e.has("too new"):
		what = "it does not have the version of the key that wrapped the data key: was it restored from an old backup?"
	}
	if len(e.said) == 0 {
		return what
	}
	return what + "; it says: " + e.said[0]
}

// plain returns what may be shown of a text from elsewhere.
func plain(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > maxSaid {
		s = string(r[:maxSaid]) + "…"
	}
	return s
}
