package kektest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// What a [KMS] is of.
const (
	Region  = "eu-central-1"
	Account = "111122223333"
)

// A KMS is a fake of AWS KMS, by its JSON protocol: Encrypt and Decrypt with
// symmetric keys. Each request must be signed by one of Accounts; the signature is
// made again and compared. It also answers AssumeRoleWithWebIdentity, which is of
// STS. Its fields may be changed while no request runs.
type KMS struct {
	*httptest.Server

	// Accounts has the secret keys by the access keys that are taken.
	Accounts map[string]string
	// Throttle refuses so many requests to come.
	Throttle int
	// Denied is whether the policies let nobody do anything.
	Denied bool
	// Requests counts those that came.
	Requests int

	mu      sync.Mutex
	keys    map[string]*kmsKey // by ARN
	aliases map[string]string
	session string // the token of the temporary credentials, "" while there are none
	web     string
}

type kmsKey struct {
	material []byte
	state    string // Enabled, Disabled or PendingDeletion
}

// NewKMS starts a fake that ends with the test.
func NewKMS(t testing.TB) *KMS {
	t.Helper()
	k := &KMS{Accounts: map[string]string{}, keys: map[string]*kmsKey{}, aliases: map[string]string{}}
	k.Server = httptest.NewServer(k)
	t.Cleanup(k.Close)
	return k
}

// CreateKey makes a key with an alias, which is taken from the key that had it,
// and returns its ARN.
func (f *KMS) CreateKey(alias string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := random(16)
	arn := fmt.Sprintf("arn:aws:kms:%s:%s:key/%x-%x-%x-%x-%x", Region, Account, b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	f.keys[arn] = &kmsKey{random(32), "Enabled"}
	f.aliases[alias] = arn
	return arn
}

// SetState makes a key Enabled, Disabled or PendingDeletion.
func (f *KMS) SetState(arn, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[arn].state = state
}

// TrustWebIdentity has a token taken for temporary credentials of any role.
func (f *KMS) TrustWebIdentity(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.web = token
}

// Use has the SDK use the fake, with no other settings than those of a test, and
// no files of the machine's. It takes a test that runs alone.
func (f *KMS) Use(t testing.TB, accessKey string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_KMS": f.URL, "AWS_ENDPOINT_URL_STS": f.URL, "AWS_REGION": Region,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": f.Accounts[accessKey],
	} {
		t.Setenv(name, value)
	}
}

// A kmsError is an error of the service, by its code.
type kmsError struct{ code, message string }

func (e *kmsError) Error() string { return e.code + ": " + e.message }

func (f *KMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Requests++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	if r.Header.Get("X-Amz-Target") == "" {
		f.serveSTS(w, body)
		return
	}
	out, err := f.serve(r, body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", "0f1e2d3c-0000-4000-8000-000000000000")
	if e, ok := err.(*kmsError); ok {
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]string{"__type": e.code, "message": e.message}
	} else if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		out = map[string]string{"__type": "KMSInternalException", "message": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out) // the client went away
}

func (f *KMS) serve(r *http.Request, body []byte) (any, error) {
	if err := f.verify(r, body); err != nil {
		return nil, err
	}
	var in struct {
		KeyID                     string `json:"KeyId"`
		Plaintext, CiphertextBlob []byte
		EncryptionContext         map[string]string
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || json.Unmarshal(body, &in) != nil {
		return nil, &kmsError{"SerializationException", ""}
	}
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if !ok || operation != "Encrypt" && operation != "Decrypt" {
		return nil, &kmsError{"UnknownOperationException", ""}
	}
	if f.Throttle > 0 {
		f.Throttle--
		return nil, &kmsError{"ThrottlingException", "Rate exceeded"}
	}
	if f.Denied {
		return nil, &kmsError{"AccessDeniedException", "User: arn:aws:iam::" + Account + ":user/gatehouse is not authorized to perform: kms:" + operation + " on this resource because no identity-based policy allows the kms:" + operation + " action"}
	}
	bound, err := json.Marshal(in.EncryptionContext) // its keys are sorted
	if err != nil {
		return nil, err
	}
	if operation == "Encrypt" {
		return f.encrypt(in.KeyID, in.Plaintext, bound)
	}
	return f.decrypt(in.KeyID, in.CiphertextBlob, bound)
}

func (f *KMS) find(id string) (string, *kmsKey, error) {
	arn := id
	prefix := "arn:aws:kms:" + Region + ":" + Account + ":"
	switch {
	case strings.HasPrefix(id, "alias/"):
		arn = f.aliases[id]
	case strings.HasPrefix(id, prefix+"alias/"):
		arn = f.aliases[strings.TrimPrefix(id, prefix)]
	case !strings.HasPrefix(id, "arn:"):
		arn = prefix + "key/" + id
	}
	k := f.keys[arn]
	if k == nil && strings.Contains(id, "alias/") {
		return "", nil, &kmsError{"NotFoundException", "Alias " + prefix + strings.TrimPrefix(id, prefix) + " is not found."}
	}
	if k == nil {
		return "", nil, &kmsError{"NotFoundException", "Key '" + id + "' does not exist"}
	}
	switch k.state {
	case "Disabled":
		return "", nil, &kmsError{"DisabledException", arn + " is disabled."}
	case "PendingDeletion":
		return "", nil, &kmsError{"KMSInvalidStateException", arn + " is pending deletion."}
	}
	return arn, k, nil
}

// A blob is its key's ARN, its length in two bytes before it, and what is sealed.
func (f *KMS) encrypt(id string, plain, bound []byte) (any, error) {
	arn, k, err := f.find(id)
	if err != nil {
		return nil, err
	}
	if len(plain) == 0 || len(plain) > 4096 {
		return nil, &kmsError{"ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint"}
	}
	blob := append([]byte{byte(len(arn) >> 8), byte(len(arn))}, arn...)
	return map[string]any{"CiphertextBlob": append(blob, seal(k.material, plain, bound)...), "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

func (f *KMS) decrypt(id string, blob, bound []byte) (any, error) {
	n := 0
	if len(blob) >= 2 {
		n = int(blob[0])<<8 | int(blob[1])
	}
	if n == 0 || len(blob) < 2+n {
		return nil, &kmsError{"InvalidCiphertextException", ""}
	}
	of := string(blob[2 : 2+n])
	if f.keys[of] == nil { // of a key that this account never had, or altered
		return nil, &kmsError{"InvalidCiphertextException", ""}
	}
	arn, k, err := f.find(of)
	if err != nil {
		return nil, err
	}
	if id != "" {
		named, _, err := f.find(id)
		if err != nil {
			return nil, err
		}
		if named != arn {
			return nil, &kmsError{"IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation."}
		}
	}
	plain, err := unseal(k.material, blob[2+n:], bound)
	if err != nil {
		return nil, &kmsError{"InvalidCiphertextException", ""}
	}
	return map[string]any{"Plaintext": plain, "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

// verify makes the signature of a request again.
func (f *KMS) verify(r *http.Request, body []byte) error {
	given := r.Header.Get("Authorization")
	fields := map[string]string{}
	rest, ok := strings.CutPrefix(given, "AWS4-HMAC-SHA256 ")
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if !ok || len(scope) != 5 || err != nil {
		return &kmsError{"MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	credentials := aws.Credentials{AccessKeyID: scope[0], SecretAccessKey: f.Accounts[scope[0]], SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if credentials.SecretAccessKey == "" || credentials.SessionToken != "" && credentials.SessionToken != f.session {
		return &kmsError{"UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	if age := time.Since(at); age > 5*time.Minute || age < -5*time.Minute || scope[2] != Region || scope[3] != "kms" {
		return &kmsError{"InvalidSignatureException", "Signature expired, or credential should be scoped to a valid region."}
	}
	again := &http.Request{Method: r.Method, URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}, Host: r.Host, Header: http.Header{}}
	signed := strings.Split(fields["SignedHeaders"], ";")
	for _, must := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(signed, must) {
			return &kmsError{"IncompleteSignatureException", "'" + must + "' must be a 'SignedHeader'"}
		}
	}
	for _, name := range signed {
		switch name {
		case "host": // it is a field
		case "content-length":
			again.ContentLength = int64(len(body))
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(context.Background(), credentials, again, hex.EncodeToString(sum[:]), "kms", Region, at); err != nil {
		return err
	}
	if again.Header.Get("Authorization") != given {
		return &kmsError{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."}
	}
	return nil
}

// serveSTS gives temporary credentials for a web identity.
func (f *KMS) serveSTS(w http.ResponseWriter, body []byte) {
	form, err := url.ParseQuery(string(body))
	w.Header().Set("Content-Type", "text/xml")
	if err != nil || form.Get("Action") != "AssumeRoleWithWebIdentity" || f.web == "" || form.Get("WebIdentityToken") != f.web {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>No OpenIDConnect provider found in your account</Message></Error><RequestId>0f1e2d3c</RequestId></ErrorResponse>`)
		return
	}
	f.session = "session-" + strconv.Itoa(f.Requests)
	const temporary = "ASIATEMPORARY0000000"
	f.Accounts[temporary] = hex.EncodeToString(random(20))
	_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::%s:assumed-role/gatehouse/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>0f1e2d3c</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>`,
		temporary, f.Accounts[temporary], f.session, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), Account)
}
