package catalog

import (
	"slices"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/settings"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// keyPlan is how a provider's keys come to be those declared.
type keyPlan struct {
	removed []store.ProviderKey
	kept    map[string]int64 // new position by id
	added   []addedKey
}

type addedKey struct {
	index    int // in the declared list
	position int64
	key      secret.Text
}

// planKeys compares the keys that are there with those declared; nil declares
// them as they are.
func planKeys(have []store.ProviderKey, want *[]KeepOrAdd) (keyPlan, error) {
	plan := keyPlan{kept: map[string]int64{}}
	if want == nil {
		for _, k := range have {
			plan.kept[k.ID] = k.Position
		}
		return plan, nil
	}
	var bad invalid
	var added []secret.Text
	for i, w := range *want {
		field := element("api_keys", i)
		position := int64(i + 1)
		_, twice := plan.kept[w.ID]
		switch {
		case (w.ID == "") == w.APIKey.IsZero():
			bad.join(&store.InvalidError{Field: field, Reason: `must have either "id", to keep a key, or "api_key", to add one`})
		case w.ID == "":
			plan.added = append(plan.added, addedKey{i, position, w.APIKey})
			added = append(added, w.APIKey)
			bad.join(checkAPIKey(field+".api_key", w.APIKey))
		case twice:
			bad.join(&store.InvalidError{Field: field + ".id", Reason: "is listed twice"})
		case !slices.ContainsFunc(have, func(k store.ProviderKey) bool { return k.ID == w.ID }):
			bad.join(&store.InvalidError{Field: field + ".id", Reason: "is not a key of this provider"})
		default:
			plan.kept[w.ID] = position
		}
	}
	if hasDuplicate(added) {
		bad.join(&store.InvalidError{Field: "api_keys", Reason: "has the same key twice"})
	}
	for _, k := range have {
		if _, ok := plan.kept[k.ID]; !ok {
			plan.removed = append(plan.removed, k)
		}
	}
	return plan, bad.err()
}

// fit says what is wrong with the planned keys of a provider whose settings go
// from had to doc. A kept key cannot be looked at, so it goes with a document
// that asks of keys what the one before did.
func (p keyPlan) fit(had, doc settings.Document) error {
	var bad invalid
	for _, a := range p.added {
		bad.join(checkForm(doc, element("api_keys", a.index)+".api_key", a.key))
	}
	bad.join(checkSources(doc, "api_keys", len(p.kept)+len(p.added)))
	if doc.Keys != had.Keys && len(p.kept) > 0 {
		bad.join(&store.InvalidError{Field: "api_keys", Reason: "must all be given again when the settings change what a key looks like: send every key as {\"api_key\":…}, or [] to have none"})
	}
	return bad.err()
}
