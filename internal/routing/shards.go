package routing

import (
	"hash/maphash"
	"maps"
)

// shardCount divides a map so that copying on write costs a small part of it:
// at 100,000 entries, about 400.
const shardCount = 256

var seed = maphash.MakeSeed()

// shards is a map that is never written after it is published: set and remove
// return a new one that shares every shard they did not touch. The zero shards
// is empty.
type shards[K comparable, V any] struct {
	parts *[shardCount]map[K]V
}

func index[K comparable](k K) uint64 { return maphash.Comparable(seed, k) % shardCount }

func (s shards[K, V]) get(k K) (V, bool) {
	if s.parts == nil {
		var zero V
		return zero, false
	}
	v, ok := s.parts[index(k)][k]
	return v, ok
}

// values yields every value, in no order.
func (s shards[K, V]) values(yield func(V) bool) {
	if s.parts == nil {
		return
	}
	for _, part := range s.parts {
		for _, v := range part {
			if !yield(v) {
				return
			}
		}
	}
}

func (s shards[K, V]) len() int {
	n := 0
	if s.parts != nil {
		for _, m := range s.parts {
			n += len(m)
		}
	}
	return n
}

// An editor collects changes to a copy of a shards. It copies each shard once,
// however many changes fall into it.
type editor[K comparable, V any] struct {
	parts  *[shardCount]map[K]V
	copied [shardCount]bool
}

func (s shards[K, V]) edit() *editor[K, V] {
	e := &editor[K, V]{parts: new([shardCount]map[K]V)}
	if s.parts != nil {
		*e.parts = *s.parts
	}
	return e
}

func (e *editor[K, V]) own(i uint64) map[K]V {
	if !e.copied[i] {
		e.copied[i] = true
		if e.parts[i] == nil {
			e.parts[i] = map[K]V{}
		} else {
			e.parts[i] = maps.Clone(e.parts[i])
		}
	}
	return e.parts[i]
}

func (e *editor[K, V]) set(k K, v V) { e.own(index(k))[k] = v }

func (e *editor[K, V]) remove(k K) { delete(e.own(index(k)), k) }

func (e *editor[K, V]) get(k K) (V, bool) { return shards[K, V]{e.parts}.get(k) }

// done returns the result. The editor must not be used afterwards.
func (e *editor[K, V]) done() shards[K, V] { return shards[K, V]{e.parts} }
