package app

import (
	"context"
	"time"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/gateway"
	"github.com/gatehousehq/gatehouse/internal/httpapi"
	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// providerKeys are the provider keys as the gateway has them, for the API to ask
// about.
type providerKeys struct {
	gw    *gateway.Gateway
	pool  *keypool.Pool
	table *routing.Table
}

// state asks the pool for a key as the gateway has it. A key that is not in the
// snapshot belongs to a provider that is gone or does not work at all.
func (k providerKeys) state(providerName, keyID string) httpapi.KeyState {
	out := httpapi.KeyState{State: client.KeyUnreadable}
	if f, ok := k.pool.LastError(keyID); ok {
		out.LastError = &client.KeyError{Reason: string(f.Reason), Status: int64(f.Status), Time: f.At.UTC(), Model: f.Model}
	}
	for _, l := range k.pool.Limits(keyID) {
		out.Limits = append(out.Limits, client.LimitedModel{Model: l.Model, Until: l.Until.UTC()})
	}
	if _, key := k.find(providerName, keyID); key != nil {
		s := k.pool.State(*key)
		out.State, out.Reason, out.Until = client.KeyState(s.Name), string(s.Reason), s.Until.UTC()
	}
	return out
}

// targetState says whether the gateway has the provider of a target.
func (s *Server) targetState(providerID string) client.TargetState {
	switch p := s.table.Current().ProviderByID(providerID); {
	case p == nil:
		return client.TargetDeleted
	case !p.Enabled:
		return client.TargetDisabled
	case p.Fault != "":
		return client.TargetNotServed
	}
	return client.TargetReady
}

// find returns a provider and one of its keys, nil for what is not in the
// snapshot.
func (k providerKeys) find(providerName, keyID string) (*routing.Provider, *routing.Key) {
	p := k.table.Current().Provider(providerName)
	if p == nil {
		return nil, nil
	}
	for i := range p.Keys {
		if p.Keys[i].ID == keyID {
			return p, &p.Keys[i]
		}
	}
	return p, nil
}

// test tries a key with its provider, or none if the id is empty, and lets the
// pool know.
func (k providerKeys) test(ctx context.Context, providerName, keyID string) client.KeyTest {
	p, key := k.find(providerName, keyID)
	if p == nil || key == nil && keyID != "" {
		return client.KeyTest{Class: "not_in_force", Message: "This replica does not have the key yet. Try again in a second."}
	}
	c := k.gw.Check(ctx, p, key)
	if c.Finding != nil && key != nil {
		k.pool.Report(key.ID, *c.Finding)
	}
	return keyTest(c)
}

// testSecret tries a key that is not stored.
func (k providerKeys) testSecret(ctx context.Context, providerName string, s secret.Text) client.KeyTest {
	p, _ := k.find(providerName, "")
	if p == nil {
		return client.KeyTest{Class: "not_in_force", Message: "This replica does not have the provider yet. Try again in a second."}
	}
	return keyTest(k.gw.Check(ctx, p, &routing.Key{Secret: s}))
}

// testDraft tries a provider that is not stored with a key, or without if it is zero.
// Neither the table nor the pool hears of it.
func (k providerKeys) testDraft(ctx context.Context, rec store.Provider, document []byte, s secret.Text) client.KeyTest {
	var key *routing.Key
	if !s.IsZero() {
		key = &routing.Key{Secret: s}
	}
	return keyTest(k.gw.Check(ctx, routing.Draft(rec, document), key))
}

func keyTest(c gateway.Check) client.KeyTest {
	return client.KeyTest{
		OK: c.OK, Class: c.Outcome, Status: int64(c.Status), LatencyMS: int64(c.Took / time.Millisecond), Message: c.Message(),
	}
}
