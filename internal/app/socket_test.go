package app_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/gatehousehq/gatehouse/client"
)

// WebSockets end within a second of the revocation of their token, at every
// replica, and with the server; each is on record.
func TestWebSocketsEndWithTheirTokenAndWithTheServer(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		ctx := t.Context()
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for {
				kind, b, err := c.Read(r.Context())
				if err != nil || c.Write(r.Context(), kind, b) != nil {
					return
				}
			}
		}))
		t.Cleanup(upstream.Close)
		dir := dataDir(t)
		r := start(t, dir, flags...)
		other := r
		if len(flags) > 0 {
			key, err := os.ReadFile(filepath.Join(dir, "encryption-key"))
			if err != nil {
				t.Fatal(err)
			}
			replica := dataDir(t)
			if err := os.WriteFile(filepath.Join(replica, "encryption-key"), key, 0o600); err != nil {
				t.Fatal(err)
			}
			other = start(t, replica, flags...)
		}
		r.add(t, "vendor", upstream.URL+"/v1", goodKey)
		open := func(at *running, token string) *websocket.Conn {
			t.Helper()
			var c *websocket.Conn
			eventually(t, "a WebSocket opens", func() (ok bool) {
				var err error
				c, _, err = websocket.Dial(ctx, at.URL()+"/ai/vendor/v1/responses", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
				return err == nil
			})
			if err := c.Write(ctx, websocket.MessageText, []byte(`{"model":"m"}`)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(ctx); err != nil {
				t.Fatal(err)
			}
			return c
		}
		revoked, kept := r.mint(t, "gateway:use"), r.mint(t, "gateway:use")
		one, two := open(other, revoked.Secret), open(r, kept.Secret)
		if err := r.owner.DeleteToken(ctx, revoked.ID); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, _, err := one.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("revoked: %v", err)
		}
		if took := time.Since(began); took > 5*time.Second { // a second, and what a busy machine takes
			t.Errorf("it took %v", took)
		}
		ended := make(chan websocket.StatusCode, 1)
		go func() {
			_, _, err := two.Read(ctx)
			ended <- websocket.CloseStatus(err)
		}()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if got := <-ended; got != websocket.StatusGoingAway {
			t.Errorf("the server stopped: %v", got)
		}
		again := start(t, dir, flags...)
		// The other server ships its record in its own time.
		eventually(t, "both are on record", func() bool {
			found := map[string]int{}
			for rec, err := range again.owner.Interceptions(ctx, client.InterceptionFilter{}) {
				if err != nil {
					t.Fatal(err)
				}
				if rec.Status == http.StatusSwitchingProtocols {
					found[rec.Reason]++
				}
			}
			return found["revoked"] == 1 && found["shutdown"] == 1
		})
	})
}
