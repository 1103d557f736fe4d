package rotation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehousehq/gatehouse/client"
)

// An editor changes providers that are its own, through one server, and keeps
// the ledger.
type editor struct {
	ledger *ledger
	wrong  *findings
	rng    *rand.Rand
	// killed is whether the server is killed or put to sleep, so that an edit may get no answer.
	killed    bool
	providers []string

	made, refused, unsure *atomic.Int64
}

// work edits until it is told to stop or the server gives no answer.
func (e *editor) work(ctx context.Context, c *client.Client) {
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		name := e.providers[e.rng.IntN(len(e.providers))]
		if d, ids, ok := e.ledger.known(name); ok {
			if !e.edit(c, name, d, ids) {
				return
			}
		}
		<-pace.C
	}
}

// secretValue returns what was never used before.
func secretValue(kind string, rng *rand.Rand) string {
	return fmt.Sprintf("%s-%016x%016x", kind, rng.Uint64(), rng.Uint64())
}

// edit makes one edit and reports whether the server answered. It is not told to
// stop meanwhile: how an edit ended is what it is for.
func (e *editor) edit(c *client.Client, name string, d document, ids []string) bool {
	ctx := context.Background()
	after := document{Keys: slices.Clone(d.Keys), Organization: d.Organization}
	var call func() ([]string, error)
	switch what := e.rng.IntN(5); {
	case what == 0:
		after.Organization = secretValue("org", e.rng)
		call = func() ([]string, error) {
			p, err := c.UpdateProvider(ctx, name, 0, client.UpdateProvider{Settings: client.Set(settingsOf(after))})
			return keyIDs(p), err
		}
	case what == 1 && d.Organization != "" && e.rng.IntN(4) == 0:
		after.Organization = ""
		call = func() ([]string, error) {
			p, err := c.UpdateProvider(ctx, name, 0, client.UpdateProvider{Settings: client.Null[json.RawMessage]()})
			return keyIDs(p), err
		}
	case what == 2 && len(d.Keys) > 2:
		i := e.rng.IntN(len(d.Keys))
		after.Keys = slices.Delete(after.Keys, i, i+1)
		call = func() ([]string, error) {
			return slices.Delete(slices.Clone(ids), i, i+1), c.DeleteKey(ctx, name, ids[i], 0)
		}
	case what == 3 && len(d.Keys) < 8:
		after.Keys = append(after.Keys, secretValue("sk", e.rng))
		call = func() ([]string, error) {
			k, err := c.CreateKey(ctx, name, client.AddKey{APIKey: after.Keys[len(after.Keys)-1]})
			return append(slices.Clone(ids), k.ID), err
		}
	default: // one key in place of another
		i := e.rng.IntN(len(d.Keys))
		after.Keys[i] = secretValue("sk", e.rng)
		var keep []client.KeepOrAdd
		for j, id := range ids {
			if j == i {
				keep = append(keep, client.KeepOrAdd{APIKey: after.Keys[i]})
			} else {
				keep = append(keep, client.KeepOrAdd{ID: id})
			}
		}
		call = func() ([]string, error) {
			p, err := c.UpdateProvider(ctx, name, 0, client.UpdateProvider{APIKeys: keep})
			return keyIDs(p), err
		}
	}
	e.ledger.begin(name, after)
	got, err := call()
	return e.note(name, got, err)
}

func keyIDs(p client.Provider) (ids []string) {
	for _, k := range p.APIKeys {
		ids = append(ids, k.ID)
	}
	return ids
}

func settingsOf(d document) json.RawMessage {
	if d.Organization == "" {
		return nil
	}
	return json.RawMessage(fmt.Sprintf(`{"_type":"openai","_version":1,"organization":%q}`, d.Organization))
}

// note keeps the ledger by what was answered, and reports whether anything was.
func (e *editor) note(name string, ids []string, err error) bool {
	var refusal *client.Error
	switch {
	case err == nil:
		e.made.Add(1)
		e.ledger.made(name, ids)
		return true
	case !errors.As(err, &refusal):
		e.unsure.Add(1)
		if !e.killed {
			e.wrong.add("an edit of %s got no answer: %v", name, err)
		}
		return false
	case refusal.Status != http.StatusServiceUnavailable:
		e.unsure.Add(1)
		e.wrong.add("an edit of %s was refused: %v", name, err)
	case strings.Contains(refusal.Detail, "nothing was changed"):
		e.refused.Add(1)
		e.ledger.refused(name)
	case strings.Contains(refusal.Detail, "the change is saved"):
		e.made.Add(1)
		e.ledger.made(name, nil)
	default: // it says that it does not know
		e.unsure.Add(1)
	}
	return true
}
