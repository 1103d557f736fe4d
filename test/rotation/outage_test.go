package rotation_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

// A pair is two servers that share a database.
type pair struct {
	*site
	db      *cluster
	dir     string // the data directory of the first
	servers [2]*realserver.Server
	clients [2]*client.Client
}

// newPair starts two servers, fills the database and lets traffic flow through
// both until stop is called.
func newPair(t *testing.T, s *site, cfg realserver.Config) (p *pair, stop func()) {
	t.Helper()
	p = &pair{site: s, db: newCluster(t)}
	cfg.DatabaseURL = p.db.URL
	var homes [2]string
	for i := range p.servers {
		homes[i] = t.TempDir()
		if i > 0 {
			copyKeys(t, filepath.Join(homes[0], "data"), filepath.Join(homes[i], "data"))
		}
		cfg.Dir = homes[i]
		p.servers[i] = s.start(cfg)
		p.clients[i] = connect(t, p.servers[i])
	}
	p.dir = filepath.Join(homes[0], "data")
	s.fill(p.clients[0], providerCount, keysEach)
	s.traffic.lenient = true
	s.serves(p.servers[1])
	var stops []func()
	for _, srv := range p.servers {
		var to atomic.Pointer[target]
		at := targetOf(srv)
		to.Store(&at)
		stops = append(stops, s.traffic.flow(t, &to))
	}
	return p, func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// copyKeys gives another server what it must have of the first one's.
func copyKeys(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{datadir.EncryptionKey, datadir.OwnerToken} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *pair) inspect() look {
	p.t.Helper()
	found, err := inspect(p.t.Context(), sqlstore.Config{URL: secret.New(p.db.URL)}, p.dir, p.ledger, p.wrong)
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// alive makes sure that the servers are ready, and have been all along.
func (p *pair) alive() {
	p.t.Helper()
	for _, srv := range p.servers {
		select {
		case <-srv.Exited():
			p.t.Fatalf("a server ended; its log: %s", srv.Log())
		default:
		}
		p.ready(srv)
	}
}

// TestDatabaseLostWhileRotating cuts connections to PostgreSQL, and stops it as
// in a crash, while two servers rotate, serve and are edited. No request to the
// gateway may fail: it does not need the database.
func TestDatabaseLostWhileRotating(t *testing.T) {
	t.Parallel()
	s := newSite(t, chance(t))
	p, stop := newPair(t, s, realserver.Config{Binary: binary(t, binaries.honest)})
	start := time.Now()
	sum := p.outages(*outageCount, 2)
	stop()
	p.alive()
	rotated(t, p.clients[0])
	for _, srv := range p.servers {
		p.serves(srv)
	}
	found := p.inspect()
	t.Logf("%d outages in %v: %d stops, %d connections cut; a rotation was then %v; %d rotations ended; %d edits were acknowledged, %d refused and %d uncertain; %d requests were served; %d audit entries",
		sum.outages, time.Since(start).Round(time.Second), sum.stops, sum.cut, sum.at, found.Retired, s.made.Load(), s.refused.Load(), s.unsure.Load(), s.traffic.served.Load(), found.Entries)
	s.mustBeWell()
}

// TestOutagesFindKeyRetiredEarly is the control of TestDatabaseLostWhileRotating.
func TestOutagesFindKeyRetiredEarly(t *testing.T) {
	t.Parallel()
	s := newSite(t, chance(t))
	p, stop := newPair(t, s, realserver.Config{Binary: binary(t, binaries.faulty), Env: []string{retiresEarly}})
	p.db.dropForeignKeys()
	sum := p.outages(300, 0)
	stop()
	t.Logf("%d outages", sum.outages)
	s.mustBeFound("which is retired")
}

// An outageTally is what happened in a test.
type outageTally struct {
	outages, stops, cut int
	at                  map[rotation.State]int
}

// outages has n of them with that many editors at each server, or as many as it
// takes until something is wrong.
func (p *pair) outages(n, editors int) outageTally {
	p.t.Helper()
	sum := outageTally{at: map[rotation.State]int{}}
	for sum.outages < n && len(p.wrong.all()) == 0 {
		stopEditors, stopRotating := p.editors(editors, false, p.clients[:]...), p.rotate(p.clients[p.rng.IntN(2)])
		<-time.After(between(p.rng, 5*time.Millisecond, 300*time.Millisecond)) // the moment is by chance
		if p.rng.IntN(3) > 0 {
			for range 1 + p.rng.IntN(4) {
				sum.cut += p.db.cut(p.rng)
				<-time.After(between(p.rng, 0, 40*time.Millisecond)) // likewise
			}
		} else {
			p.db.stop()
			<-time.After(between(p.rng, 0, 200*time.Millisecond)) // likewise
			p.db.start()
			sum.stops++
		}
		sum.outages++
		stopRotating()
		stopEditors()
		p.alive()
		sum.at[p.inspect().State]++
	}
	return sum
}
