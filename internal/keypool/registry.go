package keypool

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
)

// registryParts divides a registry, so that a new entry costs a small part of it.
const registryParts = 64

// A registry has one T for each id, made when it is first asked for and kept for
// good: whoever holds one must not be left counting on his own. Finding one that
// is there takes no lock and no allocation.
type registry[T any] struct {
	seed  maphash.Seed
	parts [registryParts]atomic.Pointer[map[string]*T]
	mu    sync.Mutex // held while one is added
}

func newRegistry[T any]() *registry[T] { return &registry[T]{seed: maphash.MakeSeed()} }

// find returns the T of an id, nil if nobody asked for it yet.
func (r *registry[T]) find(id string) *T {
	m := r.parts[maphash.String(r.seed, id)%registryParts].Load()
	if m == nil {
		return nil
	}
	return (*m)[id]
}

// get returns the T of an id.
func (r *registry[T]) get(id string) *T {
	if v := r.find(id); v != nil {
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	part := &r.parts[maphash.String(r.seed, id)%registryParts]
	next := map[string]*T{}
	if m := part.Load(); m != nil {
		if v := (*m)[id]; v != nil {
			return v
		}
		next = maps.Clone(*m)
	}
	v := new(T)
	next[id] = v
	part.Store(&next)
	return v
}
