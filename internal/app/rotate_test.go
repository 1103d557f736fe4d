package app_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

const rotatedKey = "sk-canary-rotated-0123456789-abcd"

// traffic sends streams to servers in turn, one after the other from each of
// several clients, until it is stopped.
type traffic struct {
	sent, failed atomic.Int64
	first        atomic.Pointer[string] // what went wrong first
	stop         func()
}

func send(t *testing.T, token string, servers ...*running) *traffic {
	t.Helper()
	tr := &traffic{}
	var work sync.WaitGroup
	var over atomic.Bool
	hc := &http.Client{Transport: newTransport(t)}
	fail := func(what string) {
		tr.failed.Add(1)
		tr.first.CompareAndSwap(nil, &what)
	}
	for i := range 6 {
		work.Go(func() {
			for n := 0; !over.Load(); n++ {
				tr.sent.Add(1)
				url := servers[(i+n)%len(servers)].URL() + "/ai/p/v1/chat/completions"
				req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"model":"mock-gpt","stream":true,"messages":[{"role":"user","content":"a b c d e f g h"}]}`))
				if err != nil {
					fail(err.Error())
					continue
				}
				req.Header.Set("Authorization", "Bearer "+token)
				req.Header.Set("Content-Type", "application/json")
				res, err := hc.Do(req)
				if err != nil {
					fail(err.Error())
					continue
				}
				b, err := io.ReadAll(res.Body)
				_ = res.Body.Close() // it was read to its end
				if err != nil || res.StatusCode != 200 || !strings.Contains(string(b), "[DONE]") {
					fail(fmt.Sprint(res.StatusCode, " ", err, " ", string(b)))
				}
			}
		})
	}
	tr.stop = func() {
		over.Store(true)
		work.Wait()
	}
	return tr
}

// A key is replaced under load and revoked right afterwards, and no request fails
// for it, at any replica.
func TestRotatingAKeyFailsNoRequest(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		up, url := newUpstream(t, mockupstream.Config{Pace: 2 * time.Millisecond, Keep: -1})
		one := start(t, dataDir(t), flags...)
		servers := []*running{one}
		if len(flags) > 0 { // several replicas share PostgreSQL, and the encryption key
			dir := dataDir(t)
			copyFile(t, filepath.Join(one.dir, "encryption-key"), filepath.Join(dir, "encryption-key"))
			servers = append(servers, start(t, dir, flags...))
		}
		p := one.add(t, "p", url+"/v1", goodKey)
		tok := one.mint(t, "gateway:use")
		for _, s := range servers {
			eventually(t, "the provider is served", func() bool { status, _ := s.ask(t, "p", tok.Secret); return status == 200 })
		}
		load := send(t, tok.Secret, servers...)
		up.SetKey(secret.New(rotatedKey), mockupstream.Key{Label: "rotated"})
		eventually(t, "there is load", func() bool { return load.sent.Load() > 20 })
		r, err := one.owner.RotateKey(t.Context(), "p", p.APIKeys[0].ID, 0, client.RotateKey{APIKey: rotatedKey})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Drained || r.Test == nil || !r.Test.OK || r.Replaced != p.APIKeys[0].ID {
			t.Errorf("got %+v", r)
		}
		up.SetKey(secret.New(goodKey), mockupstream.Key{Label: "revoked", Behaviour: mockupstream.Invalid})
		seen := load.sent.Load()
		eventually(t, "there is load afterwards", func() bool { return load.sent.Load() > seen+20 })
		load.stop()
		if n := load.failed.Load(); n != 0 {
			t.Errorf("%d of %d requests failed, first: %s", n, load.sent.Load(), *load.first.Load())
		}
		if now, err := one.owner.Provider(t.Context(), "p"); err != nil || len(now.APIKeys) != 1 || now.APIKeys[0].ID != r.Key.ID || now.APIKeys[0].State != client.KeyReady {
			t.Errorf("afterwards: %+v, %v", now.APIKeys, err)
		}
	})
}

// The control: done by hand in the wrong order, requests fail, and the test above
// would say so.
func TestReplacingAKeyByHandFailsRequests(t *testing.T) {
	t.Parallel()
	up, url := newUpstream(t, mockupstream.Config{Pace: 2 * time.Millisecond, Keep: -1})
	s := start(t, dataDir(t))
	p := s.add(t, "p", url+"/v1", goodKey)
	tok := s.mint(t, "gateway:use")
	up.SetKey(secret.New(rotatedKey), mockupstream.Key{Label: "rotated"})
	load := send(t, tok.Secret, s)
	eventually(t, "there is load", func() bool { return load.sent.Load() > 20 })
	up.SetKey(secret.New(goodKey), mockupstream.Key{Label: "revoked", Behaviour: mockupstream.Invalid})
	eventually(t, "a request fails", func() bool { return load.failed.Load() > 0 })
	if _, err := s.owner.RotateKey(t.Context(), "p", p.APIKeys[0].ID, 0, client.RotateKey{APIKey: rotatedKey}); err != nil {
		t.Error(err)
	}
	load.stop()
	if status, body := s.ask(t, "p", tok.Secret); status != 200 {
		t.Errorf("after the rotation: %d %s", status, body)
	}
}

// A key that the provider refuses changes nothing.
func TestAKeyThatFailsTheTestIsNotTaken(t *testing.T) {
	t.Parallel()
	_, url := newUpstream(t, mockupstream.Config{Keep: -1})
	s := start(t, dataDir(t))
	p := s.add(t, "p", url+"/v1", goodKey)
	_, err := s.owner.RotateKey(t.Context(), "p", p.APIKeys[0].ID, 0, client.RotateKey{APIKey: "sk-canary-unknown-0123456789"})
	if err == nil || !strings.Contains(err.Error(), "key_refused") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	if now, err := s.owner.Provider(t.Context(), "p"); err != nil || len(now.APIKeys) != 1 || now.APIKeys[0].ID != p.APIKeys[0].ID || now.Revision != p.Revision {
		t.Errorf("afterwards: %+v, %v", now, err)
	}
}

// What the test of a provider shows, the gateway goes by.
func TestTestingAProvider(t *testing.T) {
	t.Parallel()
	up, url := newUpstream(t, mockupstream.Config{Keep: -1})
	s := start(t, dataDir(t))
	s.add(t, "p", url+"/v1", goodKey, rotatedKey)
	got, err := s.owner.TestProvider(t.Context(), "p")
	if err != nil || got.OK || len(got.Keys) != 2 || !got.Keys[0].OK || got.Keys[0].Status != 200 || got.Keys[1].OK || got.Keys[1].Class != "key_refused" || got.Keys[1].Status != 401 {
		t.Errorf("got %+v, %v", got, err)
	}
	states := func() string {
		p, err := s.owner.Provider(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, k := range p.APIKeys {
			out = append(out, string(k.State)+" "+k.StateReason)
		}
		return strings.Join(out, ", ")
	}
	if got := states(); got != "ready , failed unauthorized" {
		t.Errorf("after the test the keys are %s", got)
	}
	up.SetKey(secret.New(rotatedKey), mockupstream.Key{Label: "works again"})
	if got, err := s.owner.TestProvider(t.Context(), "p"); err != nil || !got.OK {
		t.Errorf("again: %+v, %v", got, err)
	}
	if got := states(); got != "ready , ready " {
		t.Errorf("after the second test the keys are %s", got)
	}
}
