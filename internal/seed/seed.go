package seed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/origin"
	"github.com/gatehousehq/gatehouse/internal/settings"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// A Mode says what becomes of a provider that is in the store already, and
// differs from what the environment says.
type Mode string

// The modes.
const (
	Keep      Mode = "keep"      // it stays as it is
	Fail      Mode = "fail"      // the server does not start
	Overwrite Mode = "overwrite" // it becomes what the environment says
)

// Modes returns every mode, the default first.
func Modes() []Mode { return []Mode{Keep, Fail, Overwrite} }

// A Result says what became of one provider.
type Result struct {
	Name    string
	Outcome string   // created, same, kept, overwritten or deleted
	Differs []string // the fields that differ from the environment's
}

// Apply adds the providers to the store, all or none, as who. Others that do the
// same at the same time wait, and then find it done.
func Apply(ctx context.Context, db *store.DB, who store.Actor, rules catalog.Rules, providers []Provider, mode Mode) ([]Result, error) {
	var results []Result
	err := db.Update(ctx, who, func(tx store.Tx) error {
		results = results[:0]
		if err := tx.Changes.Lock(ctx); err != nil {
			return err
		}
		for _, p := range providers {
			s := seeder{ctx, tx, rules, p}
			r, err := s.apply(mode)
			if err != nil {
				return s.explain(err)
			}
			results = append(results, r)
		}
		return nil
	})
	return results, err
}

// A seeder adds one provider.
type seeder struct {
	ctx   context.Context
	tx    store.Tx
	rules catalog.Rules
	want  Provider
}

func (s seeder) apply(mode Mode) (Result, error) {
	r := Result{Name: s.want.Name}
	have, err := catalog.Get(s.ctx, s.tx, s.want.Name)
	if errors.Is(err, store.ErrNotFound) {
		gone, err := s.wasDeleted()
		if err != nil || gone {
			r.Outcome = "deleted"
			return r, err
		}
		r.Outcome = "created"
		_, err = s.rules.Create(s.ctx, s.tx, s.want.NewProvider)
		return r, err
	}
	if err != nil {
		return r, err
	}
	keys, err := s.tx.ProviderKeys.List(s.ctx, store.Query{ProviderID: have.ID})
	if err != nil {
		return r, err
	}
	edit, differs, err := s.compare(have, keys)
	r.Differs = differs
	switch {
	case err != nil:
		return r, err
	case len(differs) == 0:
		r.Outcome = "same"
	case mode == Fail:
		return r, fmt.Errorf("differs from the stored provider in %s: change one of the two, or start with --seed-mode keep or overwrite", strings.Join(differs, ", "))
	case mode == Keep:
		r.Outcome = "kept"
	case slices.Contains(differs, "type"):
		return r, errors.New("is of another type than the stored provider, which cannot be changed: delete that one first, or give this one another name")
	default:
		r.Outcome = "overwritten"
		_, err = s.rules.Update(s.ctx, s.tx, have.ID, catalog.AnyRevision, edit)
	}
	return r, err
}

// wasDeleted reports whether there was a provider of the name.
func (s seeder) wasDeleted() (bool, error) {
	all, err := s.tx.Providers.List(s.ctx, store.Query{IncludeDisabled: true, IncludeDeleted: true, Search: s.want.Name})
	return slices.ContainsFunc(all, func(p store.Provider) bool { return p.Name == s.want.Name && p.Deleted }), err
}

// compare returns what differs, and the edit that would mend it. Of keys it
// compares fingerprints; of settings, what is not secret.
func (s seeder) compare(have store.Provider, keys []store.ProviderKey) (e catalog.ProviderEdit, differs []string, err error) {
	want := s.want
	if want.Type != string(have.Type) {
		differs = append(differs, "type")
	}
	base, err := s.rules.NormalBaseURL(want.BaseURL)
	if err != nil {
		return e, nil, &store.InvalidError{Field: "base_url", Reason: err.Error()}
	}
	if base != have.BaseURL {
		differs, e.BaseURL = append(differs, "base_url"), &want.BaseURL
	}
	if want.DisplayName != have.DisplayName {
		differs, e.DisplayName = append(differs, "display_name"), &want.DisplayName
	}
	if want.Enabled != have.Enabled {
		differs, e.Enabled = append(differs, "enabled"), &want.Enabled
	}
	if want.Strategy != "" && want.Strategy != string(have.Strategy) {
		differs, e.Strategy = append(differs, "strategy"), &want.Strategy
	}
	moved := origin.Of(base) != origin.Of(have.BaseURL)
	public, redirects, err := publicSettings(want, have)
	if err != nil {
		return e, nil, err
	}
	moved = moved || redirects
	if public != have.SettingsPublic {
		differs = append(differs, "settings")
	}
	if public != have.SettingsPublic || moved {
		e.Settings = &want.Settings
	}
	if !want.HasKeys {
		return e, differs, nil
	}
	list, same, err := s.declare(keys, moved)
	if !same {
		differs = append(differs, "api_keys")
	}
	if !same || moved {
		e.APIKeys = &list
	}
	return e, differs, err
}

// publicSettings returns what the wanted settings look like without what is
// secret in them, and whether they demand the keys again.
func publicSettings(want Provider, have store.Provider) (public string, redirects bool, err error) {
	if want.Settings == nil {
		return "", false, nil
	}
	doc, err := settings.Parse(want.Type, want.Settings, have.SettingsPublic)
	if f, ok := errors.AsType[*settings.FieldError](err); ok {
		return "", false, &store.InvalidError{Field: strings.TrimSuffix("settings."+f.Field, "."), Reason: f.Message}
	}
	if err != nil {
		return "", false, err
	}
	reach := settings.ReachOf(doc.Fields)
	return doc.Public, reach.Redirects(settings.ReachOf(catalog.SettingsOf(have).Fields)), nil
}

// declare returns the wanted keys as an edit declares them, keeping those that
// are there, and whether they are the same in the same order. With moved, none
// can be kept.
func (s seeder) declare(keys []store.ProviderKey, moved bool) (list []catalog.KeepOrAdd, same bool, err error) {
	list, same = []catalog.KeepOrAdd{}, len(keys) == len(s.want.APIKeys)
	for i, k := range s.want.APIKeys {
		print, err := s.tx.Secrets.Fingerprint(s.ctx, k)
		if err != nil {
			return nil, false, err
		}
		at := slices.IndexFunc(keys, func(have store.ProviderKey) bool { return have.Fingerprint == print })
		same = same && at == i
		if at >= 0 && !moved {
			list = append(list, catalog.KeepOrAdd{ID: keys[at].ID})
		} else {
			list = append(list, catalog.KeepOrAdd{APIKey: k})
		}
	}
	return list, same, nil
}

// explain says which variable an error is about. It shows no value.
func (s seeder) explain(err error) error {
	var out []error
	var walk func(error)
	walk = func(err error) {
		var invalid *store.InvalidError
		var conflict *store.ConflictError
		switch e := err.(type) {
		case interface{ Unwrap() []error }:
			for _, e := range e.Unwrap() {
				walk(e)
			}
			return
		default:
			switch {
			case errors.As(e, &invalid):
				out = append(out, fmt.Errorf("%s %s", s.want.named(invalid.Field), invalid.Reason))
			case errors.As(e, &conflict):
				out = append(out, fmt.Errorf("%s is there twice", s.want.named(conflict.Field)))
			default:
				out = append(out, fmt.Errorf("the provider of %s…: %w", s.want.prefix, e))
			}
		}
	}
	walk(err)
	return errors.Join(out...)
}
