package app_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/app"
	"github.com/gatehousehq/gatehouse/internal/mockupstream"
)

// What the database does not take, the next start has: each request is on record
// once, with what it used.
func TestRecordsOutlastADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, flags ...string) {
		_, upstream := newUpstream(t, mockupstream.Config{})
		dir, log := dataDir(t), &logBuffer{}
		o := options(log)
		o.Before = func(_ context.Context, statement string) error {
			if strings.Contains(statement, "interceptions") {
				return errors.New("the table is on fire")
			}
			return nil
		}
		s, err := app.NewServer(t.Context(), configure(t, dir, flags...), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		b, err := os.ReadFile(filepath.Join(dir, "owner-token"))
		if err != nil {
			t.Fatal(err)
		}
		r := &running{Server: s, dir: dir, log: log, owner: connect(t, s.URL(), strings.TrimSpace(string(b)))}
		r.add(t, "vendor", upstream+"/v1", goodKey)
		token := r.mint(t, "gateway:use")
		ids := map[string]bool{}
		for range 3 {
			if status, body := r.ask(t, "vendor", token.Secret); status != 200 {
				t.Fatalf("got %d %s", status, body)
			}
		}
		stop()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "left for the next start") {
			t.Errorf("the log says\n%s", log.String())
		}

		again := start(t, dir, flags...)
		if status, body := again.ask(t, "vendor", token.Secret); status != 200 {
			t.Fatalf("got %d %s", status, body)
		}
		var u client.Usage
		eventually(t, "all four are on record", func() bool {
			if u, err = again.owner.Usage(t.Context(), "token", client.InterceptionFilter{Token: token.ID}, 0); err != nil {
				t.Fatal(err)
			}
			return u.Total.Requests >= 4
		})
		for rec, err := range again.owner.Interceptions(t.Context(), client.InterceptionFilter{Token: token.ID}) {
			if err != nil {
				t.Fatal(err)
			}
			ids[rec.ID] = true
			if rec.Status != 200 || rec.Outcome != "complete" || rec.Tokens == nil || rec.Tokens.Output == 0 || rec.Owner != "owner" || rec.KeyID == "" || rec.FirstByteMS == nil {
				t.Errorf("the record is %+v", rec)
			}
		}
		if len(ids) != 4 || u.Total.Requests != 4 || u.Total.Metered != 4 {
			t.Errorf("%d requests are on record, and the sum is %+v", len(ids), u.Total)
		}
	})
}
