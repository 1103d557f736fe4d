package app_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/store/storetest"
)

// A cable is a TCP connection to a PostgreSQL server that can be pulled.
type cable struct {
	network, target string

	mu     sync.Mutex
	pulled bool
	open   map[net.Conn]bool
}

// plug returns the URL of a database by way of a cable.
func plug(t *testing.T, databaseURL string) (string, *cable) {
	t.Helper()
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{network: "tcp", target: net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)), open: map[net.Conn]bool{}}
	if strings.HasPrefix(cfg.Host, "/") {
		c.network, c.target = "unix", filepath.Join(cfg.Host, fmt.Sprintf(".s.PGSQL.%d", cfg.Port))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { c.carry(near) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		c.pull()
		conns.Wait()
	})
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	if u.User == nil {
		u.User = url.UserPassword(cfg.User, cfg.Password)
	}
	u.Host, u.RawQuery = l.Addr().String(), "sslmode=disable&connect_timeout=2"
	return u.String(), c
}

func (c *cable) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial(c.network, c.target)
	if err != nil {
		return
	}
	defer far.Close()
	c.mu.Lock()
	if c.pulled {
		c.mu.Unlock()
		return
	}
	c.open[near], c.open[far] = true, true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, near) // however it ends, it is over
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
	<-done
}

// pull cuts every connection, and each new one.
func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for conn := range c.open {
		_ = conn.Close()
	}
	clear(c.open)
}

func (c *cable) plugIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = false
}

// With its database away the gateway serves on, the API says so and changes
// nothing, and when the database is back everything works again.
func TestServesOnWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	databaseURL, cable := plug(t, storetest.NewPostgres(t))
	_, url := newUpstream(t, mockupstream.Config{})
	r := start(t, dataDir(t), "--database-url="+databaseURL)
	r.add(t, "vendor", url+"/v1", goodKey)
	tok := r.mint(t, "gateway:use")

	cable.pull()
	for range 20 {
		if status, body := r.ask(t, "vendor", tok.Secret); status != http.StatusOK {
			t.Fatalf("the gateway: %d %s", status, body)
		}
	}
	_, err := r.owner.UpdateProvider(t.Context(), "vendor", 0, client.UpdateProvider{Enabled: new(false)})
	if refusal, ok := errors.AsType[*client.Error](err); !ok || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(refusal.Detail, "nothing was changed") {
		t.Errorf("a change: %v\n%s", err, r.log)
	}
	if res, err := http.Get(r.URL() + "/readyz"); err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz: %v, %v", res, err)
	} else if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if res, err := http.Get(r.URL() + "/healthz"); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("healthz: %v, %v", res, err)
	} else if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	eventually(t, "the log says that it serves on", func() bool {
		return strings.Contains(r.log.String(), "serving on the last known configuration")
	})

	cable.plugIn()
	eventually(t, "a change is made", func() bool {
		_, err := r.owner.UpdateProvider(t.Context(), "vendor", 0, client.UpdateProvider{Enabled: new(false)})
		return err == nil
	})
	if status, _ := r.ask(t, "vendor", tok.Secret); status != http.StatusServiceUnavailable {
		t.Errorf("after the change: %d", status)
	}
	eventually(t, "the log says that all is well", func() bool {
		return strings.Contains(r.log.String(), "configuration up to date again")
	})
}
