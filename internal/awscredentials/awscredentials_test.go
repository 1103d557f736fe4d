package awscredentials_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehousehq/gatehouse/internal/awscredentials"
	"github.com/gatehousehq/gatehouse/internal/mockupstream/mockbedrock"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

func TestMain(m *testing.M) {
	// What the machine has of AWS's own must not matter.
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE",
	} {
		_ = os.Unsetenv(name) // fails for names that are none
	}
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	goleak.VerifyTestMain(m)
}

const (
	region = "eu-central-1"
	role   = "arn:aws:iam::123456789012:role/claude"
)

var pair = secret.New("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")

// A bench is a Keeper with STS behind it. There is no network: all of it runs on
// the clock of synctest.
type bench struct {
	t      *testing.T
	sts    *mockbedrock.STS
	keeper *awscredentials.Keeper
	spec   awscredentials.Spec
	log    bytes.Buffer
	inUse  atomic.Pointer[[]*awscredentials.Source]
	asked  atomic.Int64                                // requests to STS
	before func(*http.Request) (*http.Response, error) // answers in the place of STS, if it does
	pad    int                                         // spaces before what STS answers
	skew   time.Duration                               // of our clock, ahead of that of AWS

	mu    sync.Mutex
	hosts []string
	ways  []*transport.Egress
}

func newBench(t *testing.T, metadata awscredentials.Metadata) *bench {
	b := &bench{t: t, spec: awscredentials.Spec{ProviderID: "p1", Provider: "claude", Region: region, RoleARN: role, Pair: pair}}
	b.sts = &mockbedrock.STS{Region: region, Keys: []secret.Text{pair}, Roles: []string{role}, Now: func() time.Time { return time.Now().Add(-b.skew) }}
	b.inUse.Store(&[]*awscredentials.Source{})
	b.keeper = awscredentials.New(awscredentials.Config{
		InUse:     func() iter.Seq[*awscredentials.Source] { return slices.Values(*b.inUse.Load()) },
		RoundTrip: b.roundTrip, Metadata: metadata, Log: slog.New(slog.NewTextHandler(&b.log, nil)), Now: time.Now,
	})
	return b
}

func (b *bench) roundTrip(r *http.Request, via *transport.Egress) (*http.Response, error) {
	b.asked.Add(1)
	b.mu.Lock()
	b.hosts, b.ways = append(b.hosts, r.URL.Host), append(b.ways, via)
	b.mu.Unlock()
	if b.before != nil {
		if res, err := b.before(r); res != nil || err != nil {
			return res, err
		}
	}
	r = r.Clone(r.Context()) // as it arrives
	r.Host = r.URL.Host
	if r.URL.Path == "" {
		r.URL.Path = "/"
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	b.sts.ServeHTTP(w, r)
	res := w.Result()
	res.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat(" ", b.pad)), res.Body))
	return res, nil
}

// start has the Keeper run until the end of the test.
func (b *bench) start() *awscredentials.Source {
	source := b.keeper.Source(b.spec, nil)
	b.inUse.Store(&[]*awscredentials.Source{source})
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { b.keeper.Run(ctx) })
	b.t.Cleanup(func() {
		cancel()
		run.Wait()
		for _, leak := range []string{"wJalrXUtnFEMI", "secret/of+", "FwoGZXIvYXdzE"} {
			if strings.Contains(b.log.String(), leak) {
				b.t.Errorf("the log has a secret in it: %s", b.log.String())
			}
		}
	})
	return source
}

// get returns the credentials in one text.
func get(t *testing.T, s *awscredentials.Source) string {
	t.Helper()
	pair, session, err := s.Credentials(t.Context())
	if err != nil {
		return "none"
	}
	return pair.Reveal() + " " + session.Reveal()
}

// What STS answers is read so far and no further.
func TestALongAnswerIsNotRead(t *testing.T) {
	for pad, want := range map[int]bool{1 << 10: true, 1 << 20: false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, awscredentials.Metadata{})
			b.pad = pad
			if got := get(t, b.start()); (got != "none") != want {
				t.Errorf("behind %d bytes: got %s", pad, got)
			}
		})
	}
}

func conditionOf(s *awscredentials.Source) string {
	name, problem := s.Condition()
	return name + " " + problem
}

// TestARoleIsRenewedBeforeItsSessionEnds follows a role for a day, but for its last
// minute: at the end of that it is renewed once more.
func TestARoleIsRenewedBeforeItsSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, awscredentials.Metadata{})
		s := b.start()
		last, changes := "", 0
		for range 24*60 - 1 {
			got := get(t, s)
			if got == "none" {
				t.Fatalf("none at %v: %s", time.Now(), conditionOf(s))
			}
			if got != last {
				last, changes = got, changes+1
			}
			time.Sleep(time.Minute)
		}
		// One for each 45 minutes of a day, and none for the 1439 requests.
		if changes != 32 || b.asked.Load() != 32 || b.hosts[0] != "sts.eu-central-1.amazonaws.com" {
			t.Errorf("%d sessions by %d requests to %s", changes, b.asked.Load(), b.hosts[0])
		}
		if names := b.sts.Names(); names[0] != "gatehouse-claude" {
			t.Errorf("AWS knows the session as %q", names[0])
		}
	})
}

func TestTheFirstRequestsWaitForOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, awscredentials.Metadata{})
		b.before = func(*http.Request) (*http.Response, error) { time.Sleep(5 * time.Second); return nil, nil }
		s := b.start()
		began := time.Now()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got := get(t, s); !strings.HasPrefix(got, "ASIASESSION00001:") {
					t.Errorf("got %s", got)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 5*time.Second || b.asked.Load() != 1 {
			t.Errorf("%v and %d requests", took, b.asked.Load())
		}
		// A client that leaves is not waited for.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		other := b.keeper.Source(awscredentials.Spec{ProviderID: "p2", Region: region, RoleARN: role, Pair: pair}, s)
		if _, _, err := other.Credentials(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		// Nor does one wait for ever where nobody gets any.
		began = time.Now()
		if _, _, err := other.Credentials(t.Context()); !isBare(err) || time.Since(began) > 20*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func isBare(err error) bool {
	_, ok := errors.AsType[*upstream.CredentialError](err)
	return ok
}

// TestAFailedRenewalKeepsWhatThereIs has AWS refuse in the middle of a session, and
// give again after its end.
func TestAFailedRenewalKeepsWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, awscredentials.Metadata{})
		s := b.start()
		first := get(t, s)
		b.sts.Deny(true)
		time.Sleep(59 * time.Minute)
		if got := get(t, s); got != first || !strings.HasPrefix(conditionOf(s), "failing AWS gives it no credentials (AccessDenied): the role does not exist") {
			t.Errorf("%s; %s", got, conditionOf(s))
		}
		time.Sleep(2 * time.Minute)
		asked := b.asked.Load()
		began := time.Now()
		for range 100 {
			if got := get(t, s); got != "none" || !strings.HasPrefix(conditionOf(s), "missing AWS gives it no credentials (AccessDenied)") {
				t.Fatalf("%s; %s", got, conditionOf(s))
			}
		}
		if time.Since(began) != 0 || b.asked.Load() != asked {
			t.Errorf("requests waited %v and had AWS asked %d times", time.Since(began), b.asked.Load()-asked)
		}
		// At most one each minute but for the first few, however many requests.
		if asked > 30 {
			t.Errorf("asked %d times in 16 minutes", asked)
		}
		if strings.Contains(conditionOf(s), "123456789012") {
			t.Errorf("it shows the account: %s", conditionOf(s))
		}
		b.sts.Deny(false)
		time.Sleep(time.Minute)
		if got := get(t, s); got == first || got == "none" || conditionOf(s) != "ready " {
			t.Errorf("%s; %s", got, conditionOf(s))
		}
		synctest.Wait()
		if n := strings.Count(b.log.String(), "no AWS credentials to be had"); n != 1 || !strings.Contains(b.log.String(), "to be had again") || !strings.Contains(b.log.String(), "123456789012") {
			t.Errorf("%d lines: %s", n, b.log.String())
		}
	})
}

func TestCredentialsThatAreRefusedAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, awscredentials.Metadata{})
		s := b.start()
		first := get(t, s)
		s.Refused() // it was got this moment: another would be no better
		time.Sleep(5 * time.Second)
		if get(t, s) != first {
			t.Error("renewed at once")
		}
		time.Sleep(time.Minute)
		b.sts.Revoke()
		for range 100 {
			s.Refused()
		}
		time.Sleep(time.Second)
		if got := get(t, s); got == first || b.asked.Load() != 2 {
			t.Errorf("%d requests, then %s", b.asked.Load(), got)
		}
	})
}

// TestWhatIsWrongIsSaid has each thing go wrong that can.
func TestWhatIsWrongIsSaid(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*bench)
		want string
	}{
		{"a role that is not there", func(b *bench) { b.spec.RoleARN += "x" }, "(AccessDenied): the role does not exist, its trust policy"},
		{"a secret that is wrong", func(b *bench) { b.spec.Pair = secret.New("AKIDEXAMPLE:another") }, "(SignatureDoesNotMatch): the secret to ask with is wrong, or the clock"},
		{"a key that is not known", func(b *bench) { b.spec.Pair = secret.New("AKIDOTHER:another") }, "(InvalidClientTokenId): the credentials to ask with are not taken"},
		{"a clock that is far ahead", func(b *bench) { b.skew = 3 * time.Hour }, "has ended already: is the clock of this machine right?"},
		{"no credentials at all", func(b *bench) { b.spec.Pair = secret.Text{} }, "no credentials: set AWS_ACCESS_KEY_ID"},
		{"an answer that never comes", func(b *bench) {
			b.before = func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
		}, "no answer in time"},
		{"an answer that is none", func(b *bench) {
			b.before = func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>")), Request: r}, nil
			}
		}, "cannot be read, or asked for"},
		{"a session that ends at once", func(b *bench) { b.sts.Lifetime = -time.Second }, "has ended already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, awscredentials.Metadata{})
				tt.set(b)
				s := b.start()
				got := get(t, s)
				synctest.Wait()
				if got != "none" || !strings.Contains(conditionOf(s), tt.want) {
					t.Errorf("%s; %s\n%s", got, conditionOf(s), b.log.String())
				}
				time.Sleep(10 * time.Minute)
				if n := b.asked.Load(); n > 3*16 {
					t.Errorf("asked %d times in ten minutes", n)
				}
			})
		})
	}
}

// A clock that is off by less than a session lasts is put right by the SDK.
func TestTheClockMayBeOff(t *testing.T) {
	for _, skew := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, awscredentials.Metadata{})
			b.skew = skew
			if got := get(t, b.start()); got == "none" {
				t.Errorf("%v: none", skew)
			}
		})
	}
}

func TestASourceStaysWhileTheSettingsSayTheSame(t *testing.T) {
	t.Parallel()
	b := newBench(t, awscredentials.Metadata{})
	way := func(d time.Duration) *transport.Egress {
		e, err := transport.NewEgress(transport.EgressConfig{ConnectTimeout: d})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	b.spec.Egress = way(time.Second)
	first := b.keeper.Source(b.spec, nil)
	same := b.spec
	same.Egress, same.Pair = way(time.Second), secret.New(pair.Reveal())
	if b.keeper.Source(same, first) != first {
		t.Error("the same is another")
	}
	for name, change := range map[string]func(*awscredentials.Spec){
		"provider": func(s *awscredentials.Spec) { s.ProviderID = "p2" },
		"name":     func(s *awscredentials.Spec) { s.Provider = "other" },
		"region":   func(s *awscredentials.Spec) { s.Region = "us-east-1" },
		"role":     func(s *awscredentials.Spec) { s.RoleARN = "" },
		"pair":     func(s *awscredentials.Spec) { s.Pair = secret.New("AKIDEXAMPLE:other") },
		"way":      func(s *awscredentials.Spec) { s.Egress = way(2 * time.Second) },
	} {
		other := b.spec
		change(&other)
		if b.keeper.Source(other, first) == first {
			t.Errorf("another %s, and the same credentials", name)
		}
	}
}

// STS is asked by the way of the provider, with its own credentials and with the
// server's.
func TestAWSIsAskedByTheWayOfTheProvider(t *testing.T) {
	for _, own := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, awscredentials.Metadata{})
			way, err := transport.NewEgress(transport.EgressConfig{ConnectTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			b.spec.Egress = way
			if own {
				id, key, _ := strings.Cut(pair.Reveal(), ":")
				t.Setenv("AWS_ACCESS_KEY_ID", id)
				t.Setenv("AWS_SECRET_ACCESS_KEY", key)
				b.spec.Pair = secret.Text{}
			}
			if got := get(t, b.start()); got == "none" || len(b.ways) != 1 || b.ways[0] != way {
				t.Errorf("own=%v: got %s by %v", own, got, b.ways)
			}
		})
	}
}

// What is not in use any more is not renewed.
func TestOnlyWhatIsInUseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, awscredentials.Metadata{})
		s := b.start()
		first := get(t, s)
		b.inUse.Store(&[]*awscredentials.Source{})
		time.Sleep(55 * time.Minute)
		if get(t, s) != first || b.asked.Load() != 1 {
			t.Errorf("renewed by %d requests", b.asked.Load())
		}
	})
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
