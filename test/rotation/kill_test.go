package rotation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/datadir"
	"github.com/gatehousehq/gatehouse/internal/rotation"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
	"github.com/gatehousehq/gatehouse/test/clients/realserver"
)

const (
	// killsEach is how often the server of one installation is killed: its audit
	// log and its list of data keys grow, and are read each time.
	killsEach = 100
	// serveEvery is how many kills there are between two looks at all that a
	// server serves. What the database holds is looked at after each.
	serveEvery = 10
)

// A tally is what happened in all installations of a test.
type tally struct {
	kills, starting       int // starting: before the server was ready
	at                    map[rotation.State]int
	rotations             int
	made, unsure          int64
	served, lost, entries int64
}

// TestKilledWhileRotating kills the server again and again, as kill -9 does,
// while it rotates, serves and is edited.
func TestKilledWhileRotating(t *testing.T) {
	t.Parallel()
	rng := chance(t)
	bin := binary(t, binaries.honest)
	start, sum := time.Now(), tally{at: map[rotation.State]int{}}
	for sum.kills < *killCount && !t.Failed() {
		s := newSite(t, rng)
		s.kill(realserver.Config{Binary: bin}, 2, min(killsEach, *killCount-sum.kills), &sum)
		s.mustBeWell()
	}
	t.Logf("%d kills in %v, %d of them while the server started; a rotation was then %v; %d rotations ended; %d edits were acknowledged and %d got no answer; %d requests were served and %d lost; %d audit entries",
		sum.kills, time.Since(start).Round(time.Second), sum.starting, sum.at, sum.rotations, sum.made, sum.unsure, sum.served, sum.lost, sum.entries)
	if sum.kills >= 100 && sum.at[rotation.Resealing] == 0 {
		t.Error("no kill came while secrets were sealed again: the times are wrong for this machine")
	}
}

// TestKillsFindKeyRetiredEarly is the control of TestKilledWhileRotating. Its
// server has a bug that shows only if it is killed at the wrong moment.
func TestKillsFindKeyRetiredEarly(t *testing.T) {
	t.Parallel()
	s := newSite(t, chance(t))
	cfg := realserver.Config{Binary: binary(t, binaries.faulty), Env: []string{retiresEarly}}
	sum := tally{at: map[rotation.State]int{}}
	s.kill(cfg, 0, 0, &sum)
	s.mustBeWell()
	s.kill(cfg, 0, 400, &sum)
	t.Logf("%d kills; before them %d rotations ended well", sum.kills, sum.rotations)
	s.mustBeFound("which is retired")
}

// kill makes an installation with that many editors, and kills its server n
// times or until something is wrong.
func (s *site) kill(cfg realserver.Config, editors, n int, sum *tally) {
	s.t.Helper()
	cfg.Dir = s.t.TempDir()
	s.ledger = newLedger()
	s.traffic = newTraffic(s.t, s.ledger, s.wrong)
	srv := s.start(cfg)
	s.fill(connect(s.t, srv), providerCount, keysEach)
	s.traffic.killed = true
	var to atomic.Pointer[target]
	now := targetOf(srv)
	to.Store(&now)
	if n == 0 {
		s.rotateOnce(srv)
	}
	srv.Kill()
	stops := []func(){s.traffic.flow(s.t, &to), s.traffic.flow(s.t, &to)}
	for i := 0; i < n && len(s.wrong.all()) == 0; i++ {
		srv := s.launch(cfg)
		to.Store(&target{srv.URL, now.token})
		if s.rng.IntN(5) == 0 {
			<-time.After(between(s.rng, 0, 200*time.Millisecond)) // the moment is by chance
			srv.Kill()
			sum.starting++
		} else {
			s.live(srv, editors, i%serveEvery == 0)
		}
		sum.kills++
		found, err := inspectCopy(s, cfg.Dir)
		if err != nil {
			s.wrong.add("after kill %d: %v", sum.kills, err)
			break
		}
		sum.at[found.State]++
	}
	for _, stop := range stops {
		stop()
	}
	if len(s.wrong.all()) == 0 {
		s.end(cfg, sum)
	}
}

// live lets a server rotate and be edited for a while, and kills it.
func (s *site) live(srv *realserver.Server, editors int, look bool) {
	s.t.Helper()
	s.ready(srv)
	if look {
		s.serves(srv)
	}
	c := connect(s.t, srv)
	stopEditors, stopRotating := s.editors(editors, true, c), s.rotate(c)
	<-time.After(between(s.rng, 5*time.Millisecond, 150*time.Millisecond)) // the moment is by chance
	srv.Kill()
	stopRotating()
	stopEditors()
}

// end lets the last rotation end, and looks at everything once more.
func (s *site) end(cfg realserver.Config, sum *tally) {
	s.t.Helper()
	srv := s.start(cfg)
	rotated(s.t, connect(s.t, srv))
	s.serves(srv)
	if err := srv.Stop(); err != nil {
		s.t.Error(err)
	}
	found, err := inspectCopy(s, cfg.Dir)
	if err != nil {
		s.t.Fatal(err)
	}
	if found.State != rotation.Idle {
		s.t.Errorf("the last rotation is %s", found.State)
	}
	sum.rotations += found.Retired
	sum.entries += found.Entries
	sum.made += s.made.Load()
	sum.unsure += s.unsure.Load()
	sum.served += s.traffic.served.Load()
	sum.lost += s.traffic.lost.Load()
}

// inspectCopy looks at a copy of the database of a server that is gone: what the
// next server finds is what this one left.
func inspectCopy(s *site, home string) (look, error) {
	data := filepath.Join(home, "data")
	dir, err := os.MkdirTemp(home, "copy-")
	if err != nil {
		return look{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it goes with the test otherwise
	for _, name := range []string{datadir.Database, datadir.Database + "-wal"} {
		b, err := os.ReadFile(filepath.Join(data, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return look{}, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return look{}, err
		}
	}
	found, err := inspect(s.t.Context(), sqlstore.Config{Path: filepath.Join(dir, datadir.Database)}, data, s.ledger, s.wrong)
	if err != nil {
		return found, fmt.Errorf("open what the server left: %w", err)
	}
	return found, nil
}
