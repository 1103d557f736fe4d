package rotation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

const (
	providerCount = 60
	keysEach      = 5
)

// A site is one installation under test: its ledger, what asks of it, and what
// was wrong with it.
type site struct {
	t        *testing.T
	rng      *rand.Rand
	upstream string
	ledger   *ledger
	wrong    *findings
	traffic  *traffic

	made, refused, unsure atomic.Int64
}

func newSite(t *testing.T, rng *rand.Rand) *site {
	t.Helper()
	s := &site{t: t, rng: rng, upstream: newUpstream(t), ledger: newLedger(), wrong: &findings{}}
	s.traffic = newTraffic(t, s.ledger, s.wrong)
	return s
}

// launch starts a server that ends with the test.
func (s *site) launch(cfg realserver.Config) *realserver.Server {
	s.t.Helper()
	cfg.LogLevel = "info"
	srv, err := realserver.Launch(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(srv.Kill)
	return srv
}

func (s *site) start(cfg realserver.Config) *realserver.Server {
	s.t.Helper()
	srv := s.launch(cfg)
	s.ready(srv)
	return srv
}

func (s *site) ready(srv *realserver.Server) {
	s.t.Helper()
	if err := srv.Ready(s.t.Context()); err != nil {
		s.t.Fatalf("%v\nits log: %s", err, srv.Log())
	}
}

// connect returns a client with the owner's token.
func connect(t *testing.T, srv *realserver.Server) *client.Client {
	t.Helper()
	c, err := client.New(srv.URL, srv.OwnerToken().Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func targetOf(srv *realserver.Server) target { return target{srv.URL, srv.OwnerToken().Reveal()} }

// fill adds the providers, each with keys and settings.
func (s *site) fill(c *client.Client, providers, keys int) {
	s.t.Helper()
	for i := range providers {
		name := fmt.Sprintf("p%05d", i)
		d := document{Organization: secretValue("org", s.rng)}
		for range keys {
			d.Keys = append(d.Keys, secretValue("sk", s.rng))
		}
		s.ledger.begin(name, d)
		p, err := c.CreateProvider(s.t.Context(), client.CreateProvider{
			Type: client.OpenAI, Name: name, BaseURL: s.upstream + "/v1", APIKeys: d.Keys, Settings: settingsOf(d),
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.ledger.made(name, keyIDs(p))
	}
}

// editors edit through servers until stop is called, which waits for the last
// edits. Each server gets some editors, each editor providers of its own.
func (s *site) editors(each int, killed bool, servers ...*client.Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	names, n := s.ledger.names(), each*len(servers)
	for i := range n {
		var own []string
		for j := i; j < len(names); j += n {
			own = append(own, names[j])
		}
		e := s.editor(own)
		e.killed = killed
		work.Go(func() { e.work(ctx, servers[i%len(servers)]) })
	}
	stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	s.t.Cleanup(stop)
	return stop
}

func (s *site) editor(providers []string) *editor {
	return &editor{
		ledger: s.ledger, wrong: s.wrong, providers: providers, rng: rand.New(rand.NewPCG(s.rng.Uint64(), 0)),
		made: &s.made, refused: &s.refused, unsure: &s.unsure,
	}
}

// rotate asks for one rotation after the other until stop is called.
func (s *site) rotate(c *client.Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			_, _ = c.Rotate(ctx, client.Rotate{Mode: "full"}) // the server may be gone
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); work.Wait() })
	s.t.Cleanup(stop)
	return stop
}

// serves makes sure that a server has all keys, and that requests to each
// provider get one that is its own. One of several servers may take a moment to
// learn what was changed elsewhere, and shows a key as unreadable until then.
func (s *site) serves(srv *realserver.Server) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		problems := s.problems(srv)
		if len(problems) > 0 && s.traffic.lenient && time.Now().Before(deadline) {
			continue
		}
		for _, problem := range problems {
			s.wrong.add("%s", problem)
		}
		return
	}
}

// problems returns what is wrong with a server's keys right now.
func (s *site) problems(srv *realserver.Server) (out []string) {
	s.t.Helper()
	for p, err := range connect(s.t, srv).Providers(s.t.Context()) {
		if err != nil {
			s.t.Fatal(err)
		}
		for _, k := range p.APIKeys {
			if k.State == client.KeyUnreadable {
				out = append(out, fmt.Sprintf("key %s of provider %s is unreadable", k.ID, p.Name))
			}
		}
	}
	for _, name := range s.ledger.names() {
		began := time.Now()
		got, err := s.traffic.ask(targetOf(srv), name)
		if err != nil {
			out = append(out, fmt.Sprintf("a request to %s failed: %v", name, err))
		} else if problem := s.ledger.right(name, got, began, false); problem != "" {
			out = append(out, problem)
		}
	}
	return out
}

// rotateOnce rotates from beginning to end.
func (s *site) rotateOnce(srv *realserver.Server) {
	s.t.Helper()
	c := connect(s.t, srv)
	rotated(s.t, c)
	if _, err := c.Rotate(s.t.Context(), client.Rotate{Mode: "full"}); err != nil {
		s.t.Fatal(err)
	}
	rotated(s.t, c)
}

// rotated waits until no rotation is under way, and all is under one data key.
func rotated(t *testing.T, c *client.Client) {
	t.Helper()
	eventually(t, "the rotation is over", func() bool {
		r, err := c.Rotation(t.Context())
		return err == nil && r.State == "idle" && r.Done == r.Secrets
	})
}

// eventually waits for something that other processes bring about.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !met(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to pass: %s", what)
		}
	}
}

// mustBeWell fails the test if anything was found.
func (s *site) mustBeWell() {
	s.t.Helper()
	all := s.wrong.all()
	for _, found := range all[:min(len(all), 20)] {
		s.t.Error(found)
	}
}

// mustBeFound fails the test of a faulty binary unless something was found that
// has one of those words in it.
func (s *site) mustBeFound(words ...string) {
	s.t.Helper()
	all := s.wrong.all()
	for _, found := range all {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(found, w) }) {
			s.t.Logf("found, as it must be: %s", found)
			return
		}
	}
	s.t.Errorf("a binary with a bug passed; besides: %q", all[:min(len(all), 5)])
}
