package awscredentials_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/netguard"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// TestWhereTheServersOwnCredentialsAreFrom has them in each place they may be in.
// Roles come on top in the same way for all.
func TestWhereTheServersOwnCredentialsAreFrom(t *testing.T) {
	id, key, _ := strings.Cut(pair.Reveal(), ":")
	keys := "aws_access_key_id = " + id + "\naws_secret_access_key = " + key + "\n"
	for _, tt := range []struct {
		name string
		set  func(t *testing.T, b *bench)
		want string
	}{
		{"environment", func(t *testing.T, _ *bench) {
			t.Setenv("AWS_ACCESS_KEY_ID", id)
			t.Setenv("AWS_SECRET_ACCESS_KEY", key)
		}, pair.Reveal() + " "},
		{"a session in the environment", func(t *testing.T, _ *bench) {
			t.Setenv("AWS_ACCESS_KEY_ID", id)
			t.Setenv("AWS_SECRET_ACCESS_KEY", key)
			t.Setenv("AWS_SESSION_TOKEN", "FwoG")
		}, pair.Reveal() + " FwoG"},
		{"shared credentials", func(t *testing.T, _ *bench) {
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, "[default]\n"+keys))
		}, pair.Reveal() + " "},
		{"a profile", func(t *testing.T, _ *bench) {
			t.Setenv("AWS_PROFILE", "gate")
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "[profile gate]\nregion = us-east-1\n"+keys))
		}, pair.Reveal() + " "},
		{"a role of a profile", func(t *testing.T, _ *bench) {
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, "[default]\nrole_arn = "+role+"\nsource_profile = base\n[profile base]\n"+keys))
		}, "ASIASESSION00001:"},
		{"web identity", func(t *testing.T, b *bench) {
			b.sts.WebIdentities = []secret.Text{secret.New("a.web.token")}
			t.Setenv("AWS_ROLE_ARN", role)
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", writeFile(t, "a.web.token"))
		}, "ASIASESSION00001:"},
		{"an AWS_CA_BUNDLE beside them", func(t *testing.T, _ *bench) {
			t.Setenv("AWS_ACCESS_KEY_ID", id)
			t.Setenv("AWS_SECRET_ACCESS_KEY", key)
			t.Setenv("AWS_CA_BUNDLE", writeFile(t, string(certificate)))
		}, pair.Reveal() + " "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, awscredentials.Metadata{})
				b.spec.Pair, b.spec.RoleARN = secret.Text{}, ""
				tt.set(t, b)
				if got := get(t, b.start()); !strings.HasPrefix(got, tt.want) {
					t.Errorf("got %s; %s", got, b.log.String())
				}
			})
			synctest.Test(t, func(t *testing.T) { // and a role with them
				b := newBench(t, awscredentials.Metadata{})
				b.spec.Pair = secret.Text{}
				tt.set(t, b)
				want := "ASIASESSION00001:"
				switch {
				case strings.HasPrefix(tt.want, "ASIA"):
					want = "ASIASESSION00002:"
				case strings.HasSuffix(tt.want, "FwoG"): // which STS does not know
					want = "none"
				}
				if got := get(t, b.start()); !strings.HasPrefix(got, want) {
					t.Errorf("got %s; %s", got, b.log.String())
				}
			})
		})
	}
}

// Files are read again, so that what is put into them counts without a restart.
func TestFilesAreReadAgain(t *testing.T) {
	file := writeFile(t, "[default]\naws_access_key_id = AKIDONE\naws_secret_access_key = one\n")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, awscredentials.Metadata{})
		b.spec.Pair, b.spec.RoleARN = secret.Text{}, ""
		s := b.start()
		if got := get(t, s); got != "AKIDONE:one " {
			t.Fatalf("got %s", got)
		}
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = AKIDTWO\naws_secret_access_key = two\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		if got := get(t, s); got != "AKIDTWO:two " {
			t.Errorf("got %s", got)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Minute)
		if got := get(t, s); got != "AKIDTWO:two " || !strings.HasPrefix(conditionOf(s), "failing ") {
			t.Errorf("got %s; %s", got, conditionOf(s))
		}
	})
}

// TestNothingElseIsAsked has the SDK look for credentials in every set-up in which
// it would ask a metadata service, run a program, or have somebody sign in.
func TestNothingElseIsAsked(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	both := awscredentials.Metadata{Container: true, Instance: true}
	for _, tt := range []struct {
		name    string
		env     map[string]string
		file    string
		allowed awscredentials.Metadata
	}{
		{"a machine", map[string]string{"AWS_EC2_METADATA_DISABLED": "false"}, "", awscredentials.Metadata{}},
		{"a machine where containers may be asked", nil, "", awscredentials.Metadata{Container: true}},
		{"a machine by its profile", nil, "[default]\nrole_arn = " + role + "\ncredential_source = Ec2InstanceMetadata\n", awscredentials.Metadata{Container: true}},
		{"defaults that ask where they are", map[string]string{"AWS_DEFAULTS_MODE": "auto"}, "", awscredentials.Metadata{}},
		{"a container", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials"}, "", awscredentials.Metadata{Instance: true}},
		{"a pod", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}, "", awscredentials.Metadata{}},
		{"a container by its profile", map[string]string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/c"}, "[default]\nrole_arn = " + role + "\ncredential_source = EcsContainer\n", awscredentials.Metadata{Instance: true}},
		{"a program", nil, "[default]\ncredential_process = /usr/bin/touch " + ran + "\n", both},
		{"a program of the profile before", nil, "[default]\nrole_arn = " + role + "\nsource_profile = base\n[profile base]\ncredential_process = /usr/bin/touch " + ran + "\n", both},
		{"somebody who signs in", nil, "[default]\nsso_start_url = https://example.invalid/start\nsso_region = eu-central-1\nsso_account_id = 111122223333\nsso_role_name = r\n", both},
		{"somebody who signs in for long", nil, "[default]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = r\n[sso-session s]\nsso_region = eu-central-1\nsso_start_url = https://example.invalid/start\n", both},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			if tt.file != "" {
				t.Setenv("AWS_CONFIG_FILE", writeFile(t, tt.file))
			}
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tt.allowed)
				b.spec.Pair, b.spec.RoleARN = secret.Text{}, ""
				s := b.start()
				if got := get(t, s); got != "none" || !strings.Contains(conditionOf(s), "no credentials: set AWS_ACCESS_KEY_ID") {
					t.Errorf("%s; %s", got, conditionOf(s))
				}
				if b.asked.Load() > 0 {
					t.Errorf("asked %v", b.hosts)
				}
			})
			if _, err := os.Stat(ran); err == nil {
				t.Error("it ran a program")
			}
		})
	}
}

// TestWhatTheMetadataClientDials asks the dialler what it would do. Nothing here
// is dialled.
func TestWhatTheMetadataClientDials(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address                   string
		container, instance, both bool
	}{
		{"169.254.170.2:80", true, false, true},
		{"169.254.170.23:80", true, false, true},
		{"[fd00:ec2::23]:80", true, false, true},
		{"169.254.169.254:80", false, true, true},
		{"[::ffff:169.254.169.254]:80", false, true, true},
		{"[fd00:ec2::254]:80", false, true, true},
		{"127.0.0.1:80", true, true, true},
		{"[::1]:80", true, true, true},
		{"169.254.169.253:80", false, false, false},
		{"168.63.129.16:80", false, false, false},
		{"100.100.100.200:80", false, false, false},
		{"10.0.0.1:80", false, false, false},
		{"192.0.2.1:443", false, false, false},
		{"[fe80::1]:80", false, false, false},
		{"nowhere", false, false, false},
	} {
		for allowed, want := range map[awscredentials.Metadata]bool{
			{}: false, {Container: true}: tt.container, {Instance: true}: tt.instance, {Container: true, Instance: true}: tt.both,
		} {
			if err := awscredentials.Dials(allowed, tt.address); (err == nil) != want || err != nil && !errors.Is(err, netguard.ErrRefused) {
				t.Errorf("%+v, %s: %v", allowed, tt.address, err)
			}
		}
	}
}

// TestMetadataServicesThatMayBeAsked has agents on this machine in their place.
func TestMetadataServicesThatMayBeAsked(t *testing.T) {
	const answer = `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIAMETADATA","SecretAccessKey":"of-the-machine","Token":"FwoG","Expiration":%q}`
	first := false // version of the metadata service of machines
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		expires := time.Now().Add(6 * time.Hour).UTC().Format(time.RFC3339)
		switch token := r.Header.Get("X-Aws-Ec2-Metadata-Token"); {
		case r.URL.Path == "/container" && r.Header.Get("Authorization") == "of-the-pod":
			fmt.Fprintf(w, answer, expires)
		case first && r.URL.Path == "/latest/api/token":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/latest/api/token" && r.Method == http.MethodPut:
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			_, _ = io.WriteString(w, "v2")
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/" && token == "v2" || first && strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = io.WriteString(w, "of-the-machine")
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/of-the-machine" && token == "v2" || first && strings.HasSuffix(r.URL.Path, "/of-the-machine"):
			fmt.Fprintf(w, answer, expires)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	for name, set := range map[string]func(*testing.T) awscredentials.Metadata{
		"container": func(t *testing.T) awscredentials.Metadata {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.URL+"/container")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", writeFile(t, "of-the-pod"))
			return awscredentials.Metadata{Container: true}
		},
		"instance": func(t *testing.T) awscredentials.Metadata {
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.URL)
			return awscredentials.Metadata{Instance: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, set(t))
			b.spec.Pair, b.spec.RoleARN = secret.Text{}, ""
			if got := get(t, b.start()); got != "ASIAMETADATA:of-the-machine FwoG" || b.asked.Load() > 0 {
				t.Errorf("got %s by %v; %s", got, b.hosts, b.log.String())
			}
		})
	}
	t.Run("the first version of that of machines", func(t *testing.T) {
		first = true
		t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.URL)
		b := newBench(t, awscredentials.Metadata{Instance: true})
		b.spec.Pair, b.spec.RoleARN = secret.Text{}, ""
		if got := get(t, b.start()); got != "none" {
			t.Errorf("got %s", got)
		}
	})
}

// certificate is any: what is in AWS_CA_BUNDLE is for a client that is not used.
var certificate = func() []byte {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}()
