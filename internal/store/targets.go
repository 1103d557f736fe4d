package store

import "encoding/json"

// A RouteStrategy is how the first target of a route is chosen.
type RouteStrategy string

// The strategies. After the first target, the others follow in their order.
const (
	RouteInOrder  RouteStrategy = "in_order" // the first of the list
	RouteWeighted RouteStrategy = "weighted" // each in proportion to its weight
)

// RouteStrategies returns every strategy of routes.
func RouteStrategies() []RouteStrategy { return []RouteStrategy{RouteInOrder, RouteWeighted} }

// A Target is where a route leads: a model of a provider.
type Target struct {
	// ProviderID counts; Provider is the name that it had when the target was
	// written, and stays when the provider is purged.
	ProviderID string `json:"provider_id"`
	Provider   string `json:"provider"`
	Model      string `json:"model"`
	// Weight is its share of the requests by [RouteWeighted]; 0 is none.
	Weight int64 `json:"weight"`
}

// Targets is a list of targets in a form that cannot be changed and compares with
// ==, so that records stay plain values. The zero Targets is empty.
type Targets struct{ doc string }

// TargetsOf returns the list.
func TargetsOf(list ...Target) Targets {
	if len(list) == 0 {
		return Targets{}
	}
	b, err := json.Marshal(list)
	if err != nil { // never for strings and numbers
		return Targets{}
	}
	return Targets{string(b)}
}

// ParseTargets returns what [Targets.String] wrote, in whatever form: a list that
// cannot be read is empty.
func ParseTargets(s string) Targets {
	var list []Target
	if json.Unmarshal([]byte(s), &list) != nil {
		return Targets{}
	}
	return TargetsOf(list...)
}

// Slice returns the list, nil for an empty one.
func (t Targets) Slice() []Target {
	var list []Target
	if t.doc != "" {
		_ = json.Unmarshal([]byte(t.doc), &list) // it was made by Marshal
	}
	return list
}

// IsEmpty reports whether there is no target.
func (t Targets) IsEmpty() bool { return t.doc == "" }

// String returns the list as a JSON array.
func (t Targets) String() string {
	if t.doc == "" {
		return "[]"
	}
	return t.doc
}

// MarshalJSON shows the list in an audit diff.
func (t Targets) MarshalJSON() ([]byte, error) { return []byte(t.String()), nil }
