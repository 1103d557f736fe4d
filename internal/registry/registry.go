// Package registry keeps one value for each id, for good: a counter, say, that
// those who hold it count on together. Finding one that is there takes no lock and
// no allocation. All methods may be called concurrently.
package registry

import (
	"hash/maphash"
	"iter"
	"maps"
	"sync"
	"sync/atomic"
)

// partCount divides a registry, so that a new entry costs a small part of it.
const partCount = 64

// A Registry has one T for each id, made when it is first asked for. Make it with
// [New].
type Registry[T any] struct {
	seed  maphash.Seed
	parts [partCount]atomic.Pointer[map[string]*T]
	count atomic.Int64
	mu    sync.Mutex // held while one is added
}

// New returns an empty Registry.
func New[T any]() *Registry[T] { return &Registry[T]{seed: maphash.MakeSeed()} }

// Len returns how many ids there are.
func (r *Registry[T]) Len() int { return int(r.count.Load()) }

// All yields every T, in no order.
func (r *Registry[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range r.parts {
			m := r.parts[i].Load()
			if m == nil {
				continue
			}
			for _, v := range *m {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Find returns the T of an id, nil if nobody asked for it yet.
func (r *Registry[T]) Find(id string) *T {
	m := r.parts[maphash.String(r.seed, id)%partCount].Load()
	if m == nil {
		return nil
	}
	return (*m)[id]
}

// Get returns the T of an id, the zero T if it is new.
func (r *Registry[T]) Get(id string) *T {
	if v := r.Find(id); v != nil {
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	part := &r.parts[maphash.String(r.seed, id)%partCount]
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
	r.count.Add(1)
	return v
}
