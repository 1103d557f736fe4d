// Package awskms wraps data keys by a symmetric key of AWS KMS, which never leaves
// it.
//
// Credentials are of the environment, of the shared files of AWS, or of a web
// identity, and from nowhere else: the metadata services of machines and
// containers are not asked, as no link-local address is ever dialled, no
// other program is run for them, and nobody signs in. What belongs to a data key
// goes with it as encryption context, which AWS writes to its own log.
package awskms

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/gatehousehq/gatehouse/internal/keyring"
)

const (
	// callTime is how long a call may take, with what the SDK tries again.
	callTime = 10 * time.Second
	maxSaid  = 300 // characters of what KMS says
	// contextKey is the name in the encryption context.
	contextKey = "gatehouse"
)

// A key is a key of KMS.
type key struct {
	client *kms.Client
	arn    string
	where  string // for people
}

var _ keyring.Opener = Open

// Open returns a key by its id, ARN or alias, once it is known to wrap and to
// unwrap. An alias is followed now, and not again: what it leads to later is
// another key. It takes its settings from the environment of the process, as the
// SDK does.
func Open(ctx context.Context, name string, _ keyring.Environ) ([]keyring.KEK, error) {
	return open(ctx, name, newHTTPClient())
}

func open(ctx context.Context, name string, client aws.HTTPClient) ([]keyring.KEK, error) {
	k, err := newKey(ctx, name, client)
	if err != nil {
		return nil, err
	}
	if err := k.probe(ctx, name); err != nil {
		return nil, fmt.Errorf("key %s of %s: %w", plain(name), k.where, err)
	}
	return []keyring.KEK{k}, nil
}

// ID implements [keyring.KEK].
func (k *key) ID() string { return "awskms:" + k.arn }

// Wrap implements [keyring.KEK].
func (k *key) Wrap(ctx context.Context, dataKey, bound []byte) ([]byte, error) {
	wrapped, _, err := k.encrypt(ctx, k.arn, dataKey, bound)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.where, err)
	}
	return wrapped, nil
}

// Unwrap implements [keyring.KEK].
func (k *key) Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	raw, err := k.decrypt(ctx, wrapped, bound)
	if err != nil && !errors.Is(err, keyring.ErrAltered) {
		return nil, fmt.Errorf("%s: %w", k.where, err)
	}
	return raw, err
}

// probe finds out which key name is, and whether it serves.
func (k *key) probe(ctx context.Context, name string) error {
	raw, bound := make([]byte, 32), []byte("gatehouse probe")
	rand.Read(raw) // never fails
	wrapped, arn, err := k.encrypt(ctx, name, raw, bound)
	if err != nil {
		return err
	}
	k.arn = arn
	back, err := k.decrypt(ctx, wrapped, bound)
	if err == nil && !bytes.Equal(back, raw) {
		err = errors.New("what it encrypts does not decrypt to the same")
	}
	return err
}

func (k *key) encrypt(ctx context.Context, id string, dataKey, bound []byte) (wrapped []byte, arn string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	out, err := k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(id), Plaintext: dataKey, EncryptionContext: encryptionContext(bound)})
	if err != nil {
		return nil, "", explain(ctx, err)
	}
	return out.CiphertextBlob, aws.ToString(out.KeyId), nil
}

func (k *key) decrypt(ctx context.Context, wrapped, bound []byte) ([]byte, error) {
	if len(wrapped) == 0 {
		return nil, keyring.ErrAltered // the SDK would have words of its own
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	// With the key named, KMS does not go by the one that the ciphertext names.
	out, err := k.client.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(k.arn), CiphertextBlob: wrapped, EncryptionContext: encryptionContext(bound)})
	_, invalid := errors.AsType[*types.InvalidCiphertextException](err)
	_, incorrect := errors.AsType[*types.IncorrectKeyException](err)
	if invalid || incorrect {
		return nil, keyring.ErrAltered
	}
	if err != nil {
		return nil, explain(ctx, err)
	}
	return out.Plaintext, nil
}

// encryptionContext is text, so what may have zero bytes in it is encoded.
func encryptionContext(bound []byte) map[string]string {
	return map[string]string{contextKey: base64.StdEncoding.EncodeToString(bound)}
}

// explain says what an error of the SDK means and what to do.
func explain(ctx context.Context, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("no answer within %v: can it be reached from here?", callTime)
		}
		return fmt.Errorf("it cannot be asked: %s", plain(reason(err)))
	}
	code, todo := api.ErrorCode(), ""
	switch code {
	case "NotFoundException":
		todo = "there is no such key in this account and region: look at the id and at AWS_REGION"
	case "DisabledException":
		todo = "the key is disabled: enable it"
	case "KMSInvalidStateException":
		todo = "the key is not in use, or to be deleted: cancel that"
	case "InvalidKeyUsageException":
		todo = "the key is not for encrypting: it takes a symmetric one, of usage ENCRYPT_DECRYPT"
	case "AccessDeniedException":
		todo = "the credentials may not use the key: they need kms:Encrypt and kms:Decrypt on it"
	case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "InvalidClientTokenId", "InvalidIdentityToken":
		todo = "the credentials are not taken: they are wrong or expired, or the clock is"
	case "ThrottlingException", "LimitExceededException":
		todo = "it has had too many requests: try again later"
	default:
		todo = "it refuses"
	}
	return fmt.Errorf("%s; it says: %s: %s", todo, plain(code), plain(api.ErrorMessage()))
}

// reason leaves out what the SDK says around an error: which of its parts it was,
// and how often it tried.
func reason(err error) string {
	if dial, ok := errors.AsType[*net.OpError](err); ok { // it has the address
		return dial.Error()
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.Unwrap().Error()
	}
	return err.Error()
}

// plain returns what may be shown of a text from elsewhere.
func plain(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if r := []rune(s); len(r) > maxSaid {
		s = string(r[:maxSaid]) + "…"
	}
	return s
}
