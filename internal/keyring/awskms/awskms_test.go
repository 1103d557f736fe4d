package awskms

// The tests are from inside: one listens to what the SDK sends. Those that set
// variables, where the SDK has its settings from, run alone.

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehousehq/gatehouse/internal/keyring"
	"github.com/gatehousehq/gatehouse/internal/keyring/kektest"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/store"
)

const (
	accessKey = "AKIACANARY0000000000"
	secretKey = "canary/0123456789/abcdefghijklmnopqrstuv"
)

// newKMS returns a fake that the SDK uses, with a key alias/gatehouse.
func newKMS(t *testing.T) (f *kektest.KMS, arn string) {
	t.Helper()
	f = kektest.NewKMS(t)
	f.Accounts[accessKey] = secretKey
	f.Use(t, accessKey)
	return f, f.CreateKey("alias/gatehouse")
}

func openKey(t *testing.T, name string) keyring.KEK {
	t.Helper()
	keks, err := Open(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keks[0]
}

func TestKMSWraps(t *testing.T) {
	f, arn := newKMS(t)
	k := openKey(t, "alias/gatehouse")
	dataKey, bound := bytes.Repeat([]byte{7}, 32), []byte("a\x00b")
	wrapped, err := k.Wrap(t.Context(), dataKey, bound)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wrapped, dataKey) {
		t.Error("it is not wrapped")
	}
	_, id, _ := strings.Cut(arn, "key/")
	for _, name := range []string{"alias/gatehouse", arn, id, "arn:aws:kms:" + kektest.Region + ":" + kektest.Account + ":alias/gatehouse"} {
		k := openKey(t, name)
		if k.ID() != "awskms:"+arn {
			t.Errorf("by %s its id is %s", name, k.ID())
		}
		if got, err := k.Unwrap(t.Context(), wrapped, bound); err != nil || !bytes.Equal(got, dataKey) {
			t.Errorf("unwrapped by %s: %v", name, err)
		}
	}
	f.CreateKey("alias/other")
	foreign, err := openKey(t, "alias/other").Wrap(t.Context(), dataKey, bound)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(wrapped)
	flipped[len(flipped)-1] ^= 1
	for name, tt := range map[string]struct{ wrapped, bound []byte }{
		"bound to something else": {wrapped, []byte("a\x00c")},
		"altered":                 {flipped, bound},
		"cut":                     {wrapped[:20], bound},
		"empty":                   {nil, bound},
		"of another key":          {foreign, bound},
	} {
		if _, err := k.Unwrap(t.Context(), tt.wrapped, tt.bound); !errors.Is(err, keyring.ErrAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnAliasIsFollowedOnce wants a key that an alias was moved from to stay in
// use until the next start, which takes the other for what it is: another key.
func TestAnAliasIsFollowedOnce(t *testing.T) {
	f, arn := newKMS(t)
	k := openKey(t, "alias/gatehouse")
	ring := keyring.NewRing("here", []keyring.KEK{k})
	row, err := ring.Generate(t.Context(), store.ForSealing)
	if err != nil {
		t.Fatal(err)
	}
	other := f.CreateKey("alias/gatehouse")
	again, err := ring.Rewrap(t.Context(), row)
	if err != nil || again.KEKID != "awskms:"+arn {
		t.Errorf("after the alias was moved: %s, %v", again.KEKID, err)
	}
	moved := openKey(t, "alias/gatehouse")
	if moved.ID() != "awskms:"+other {
		t.Errorf("the next start has %s", moved.ID())
	}
	err = keyring.NewRing("here", []keyring.KEK{moved}).Load(t.Context(), []store.EncryptionKey{row}, 1)
	if missing, ok := errors.AsType[*keyring.NoKEKError](err); !ok || missing.Need != k.ID() || !strings.Contains(err.Error(), arn) {
		t.Errorf("the next start: %v", err)
	}
}

// TestRefusals wants each cause told from the others, where it was tried, what to
// do, and never the secret key.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		key    string
		change func(t *testing.T, f *kektest.KMS, arn string)
		want   []string
	}{
		{"no such alias", "alias/none", nil, []string{"NotFoundException", "AWS_REGION"}},
		{"no such key", "0f1e2d3c-0000-4000-8000-000000000000", nil, []string{"NotFoundException"}},
		{"disabled", "alias/gatehouse", func(_ *testing.T, f *kektest.KMS, arn string) { f.SetState(arn, "Disabled") }, []string{"DisabledException", "enable it"}},
		{"pending deletion", "alias/gatehouse", func(_ *testing.T, f *kektest.KMS, arn string) { f.SetState(arn, "PendingDeletion") }, []string{"KMSInvalidStateException", "cancel"}},
		{"denied", "alias/gatehouse", func(_ *testing.T, f *kektest.KMS, _ string) { f.Denied = true }, []string{"AccessDeniedException", "kms:Encrypt and kms:Decrypt", "user/gatehouse"}},
		{"throttled", "alias/gatehouse", func(_ *testing.T, f *kektest.KMS, _ string) { f.Throttle = 100 }, []string{"ThrottlingException", "later"}},
		{"unknown credentials", "alias/gatehouse", func(t *testing.T, _ *kektest.KMS, _ string) { t.Setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER") }, []string{"UnrecognizedClientException", "wrong or expired"}},
		{"wrong secret", "alias/gatehouse", func(t *testing.T, _ *kektest.KMS, _ string) { t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey+"x") }, []string{"InvalidSignatureException"}},
		{"away", "alias/gatehouse", func(_ *testing.T, f *kektest.KMS, _ string) { f.Close() }, []string{"connection refused"}},
		{"no region", "alias/gatehouse", func(t *testing.T, _ *kektest.KMS, _ string) { t.Setenv("AWS_REGION", "") }, []string{"AWS_REGION"}},
		{"another service", "arn:aws:s3:::gatehouse", nil, []string{"something else than a key of KMS"}},
		// One that the guard refuses, and that harms nobody if it should not.
		{"an endpoint that is guarded", "alias/gatehouse", func(t *testing.T, _ *kektest.KMS, _ string) {
			t.Setenv("AWS_ENDPOINT_URL_KMS", "http://0.0.0.0:1")
		}, []string{"address refused"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, arn := newKMS(t)
			if tt.change != nil {
				tt.change(t, f, arn)
			}
			_, err := Open(t.Context(), tt.key, nil)
			if err == nil {
				t.Fatal("it opened")
			}
			if !slices.Contains([]string{"no region", "another service", "an endpoint that is guarded"}, tt.name) {
				tt.want = append(tt.want, f.URL, kektest.Region)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "canary/0123") || len(err.Error()) > 800 {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
	t.Run("in use", func(t *testing.T) {
		f, arn := newKMS(t)
		k := openKey(t, "alias/gatehouse")
		wrapped, err := k.Wrap(t.Context(), []byte("data key"), nil)
		if err != nil {
			t.Fatal(err)
		}
		f.Throttle = 1
		if _, err := k.Unwrap(t.Context(), wrapped, nil); err != nil {
			t.Errorf("throttled once: %v", err)
		}
		f.SetState(arn, "Disabled")
		if _, err := k.Unwrap(t.Context(), wrapped, nil); err == nil || errors.Is(err, keyring.ErrAltered) || !strings.Contains(err.Error(), "enable it") {
			t.Errorf("disabled meanwhile: %v", err)
		}
	})
}

// A listener notes where the SDK would send requests, and lets those to the fake
// alone go.
type listener struct {
	fake  string
	hosts []string
}

func (l *listener) Do(r *http.Request) (*http.Response, error) {
	l.hosts = append(l.hosts, r.URL.Hostname())
	if "http://"+r.URL.Host == l.fake {
		return http.DefaultTransport.RoundTrip(r)
	}
	return nil, errors.New("not dialled")
}

// TestNoMetadataServiceIsAsked has the SDK look for credentials in every set-up
// in which it would ask a metadata service, or run a program.
func TestNoMetadataServiceIsAsked(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	for _, tt := range []struct {
		name string
		env  map[string]string
		file string
	}{
		{"nothing at all", nil, ""},
		{"a machine", map[string]string{"AWS_EC2_METADATA_DISABLED": "false"}, ""},
		{"a machine by its profile", nil, "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\ncredential_source = Ec2InstanceMetadata\n"},
		{"defaults that ask where they are", map[string]string{"AWS_DEFAULTS_MODE": "auto", "AWS_EXECUTION_ENV": ""}, ""},
		{"a container", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"}, ""},
		{"a pod", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, ""},
		{"a container by its profile", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/c"}, "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\ncredential_source = EcsContainer\n"},
		{"a program", nil, "[default]\ncredential_process = /usr/bin/touch " + ran + "\n"},
		{"a program of the profile before", nil, "[default]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = base\n[profile base]\ncredential_process = /usr/bin/touch " + ran + "\n"},
		{"somebody who signs in", nil, "[default]\nsso_start_url = https://example.invalid/start\nsso_region = eu-central-1\nsso_account_id = 111122223333\nsso_role_name = r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := newKMS(t)
			t.Setenv("HOME", t.TempDir())
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			if tt.file != "" {
				t.Setenv("AWS_CONFIG_FILE", writeFile(t, tt.file))
			}
			l := &listener{fake: f.URL}
			_, err := open(t.Context(), "alias/gatehouse", l)
			if err == nil || !strings.Contains(err.Error(), "no credentials") {
				t.Errorf("got %v", err)
			}
			if len(l.hosts) > 0 {
				t.Errorf("it would have asked %v", l.hosts)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Error("it ran a program")
			}
		})
	}
	// The control: the SDK as it comes does ask, and is told not to.
	t.Run("control", func(t *testing.T) {
		f, _ := newKMS(t)
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		l := &listener{fake: f.URL}
		cfg, err := config.LoadDefaultConfig(t.Context(), config.WithHTTPClient(l), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cfg.Credentials.Retrieve(t.Context()); err == nil || !slices.Contains(l.hosts, "169.254.169.254") {
			t.Errorf("it asks %v: then this test shows nothing", l.hosts)
		}
	})
	// Where all of that is overlooked, the dialler is not.
	dialer := newHTTPClient().GetDialer()
	for _, address := range []string{"169.254.169.254:80", "169.254.170.2:80", "169.254.170.23:80", "[fd00:ec2::254]:80", "[fd00:ec2::23]:80", "[fe80::1]:80"} {
		if _, err := netip.ParseAddrPort(address); err != nil {
			t.Fatal(err)
		}
		if dialer.Control == nil || !errors.Is(dialer.Control("tcp", address, nil), netguard.ErrRefused) {
			t.Errorf("%s would be dialled", address)
		}
	}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhereCredentialsAreFrom(t *testing.T) {
	keys := "aws_access_key_id = " + accessKey + "\naws_secret_access_key = " + secretKey + "\n"
	for _, tt := range []struct {
		name string
		set  func(t *testing.T, f *kektest.KMS)
	}{
		{"environment", func(t *testing.T, _ *kektest.KMS) {
			t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
			t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
		}},
		{"shared credentials", func(t *testing.T, _ *kektest.KMS) {
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "[default]\n"+keys))
		}},
		{"a profile", func(t *testing.T, _ *kektest.KMS) {
			t.Setenv("AWS_PROFILE", "gate")
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "[profile gate]\nregion = "+kektest.Region+"\n"+keys))
			t.Setenv("AWS_REGION", "")
		}},
		{"web identity", func(t *testing.T, f *kektest.KMS) {
			f.TrustWebIdentity("a.web.token")
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/gatehouse")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", writeFile(t, "a.web.token"))
		}},
		{"web identity of a profile", func(t *testing.T, f *kektest.KMS) {
			f.TrustWebIdentity("a.web.token")
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "[default]\nrole_arn = arn:aws:iam::111122223333:role/gatehouse\nweb_identity_token_file = "+writeFile(t, "a.web.token")+"\n"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, arn := newKMS(t)
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			tt.set(t, f)
			if k := openKey(t, "alias/gatehouse"); k.ID() != "awskms:"+arn {
				t.Errorf("id %s", k.ID())
			}
		})
	}
	t.Run("a web identity that is not taken", func(t *testing.T) {
		f, _ := newKMS(t)
		f.TrustWebIdentity("another")
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/gatehouse")
		t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", writeFile(t, "a.web.token"))
		if _, err := Open(t.Context(), "alias/gatehouse", nil); err == nil || strings.Contains(err.Error(), "a.web.token") || !strings.Contains(err.Error(), "InvalidIdentityToken") {
			t.Errorf("got %v", err)
		}
	})
	// The region of an ARN counts before that of the environment, which the fake's
	// signature check would find out.
	t.Run("region of the ARN", func(t *testing.T) {
		_, arn := newKMS(t)
		t.Setenv("AWS_REGION", "us-east-1")
		openKey(t, arn)
		if _, err := Open(t.Context(), "alias/gatehouse", nil); err == nil {
			t.Error("the wrong region was taken") // the control
		}
	})
}
