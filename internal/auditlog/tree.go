package auditlog

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/store"
)

// A Head is the state of a tree: what it takes to add a leaf, and to tell the
// root. The zero Head is of the empty tree.
type Head struct {
	Size int64
	// Edge has the hashes of the largest complete subtrees, largest first: one
	// for each binary digit 1 of Size.
	Edge []tlog.Hash
}

// ParseHead reads a head as the store keeps it.
func ParseHead(size int64, edge []byte) (Head, error) {
	if size < 0 || len(edge) != tlog.HashSize*bits.OnesCount64(uint64(size)) {
		return Head{}, fmt.Errorf("audit: the head of the log was altered: a log of %d entries has no edge of %d bytes; restore audit_head from a backup", size, len(edge))
	}
	return Head{size, parseHashes(edge)}, nil
}

func parseHashes(b []byte) []tlog.Hash {
	out := make([]tlog.Hash, 0, len(b)/tlog.HashSize)
	for ; len(b) >= tlog.HashSize; b = b[tlog.HashSize:] {
		out = append(out, tlog.Hash(b[:tlog.HashSize]))
	}
	return out
}

// EdgeBytes returns the edge as the store keeps it: its hashes one behind the
// other.
func (h Head) EdgeBytes() []byte {
	out := make([]byte, 0, tlog.HashSize*len(h.Edge))
	for _, e := range h.Edge {
		out = append(out, e[:]...)
	}
	return out
}

// Append returns the head with a leaf added, and the hashes which that
// completed: the leaf's own first, then those of ever larger subtrees.
func (h Head) Append(leaf []byte) (next Head, completed []byte) {
	next = Head{h.Size, append(make([]tlog.Hash, 0, len(h.Edge)+1), h.Edge...)}
	completed = next.grow(tlog.RecordHash(leaf), nil)
	return next, completed
}

// grow adds the leaf of that hash, and appends what it completed to dst.
func (h *Head) grow(hash tlog.Hash, dst []byte) []byte {
	dst = append(dst, hash[:]...)
	for n := h.Size; n&1 == 1; n >>= 1 {
		last := len(h.Edge) - 1
		hash = tlog.NodeHash(h.Edge[last], hash)
		h.Edge = h.Edge[:last]
		dst = append(dst, hash[:]...)
	}
	h.Edge = append(h.Edge, hash)
	h.Size++
	return dst
}

// Root returns the hash of the whole tree; that of the empty one is of nothing.
func (h Head) Root() tlog.Hash {
	if h.Size == 0 {
		root, err := tlog.TreeHash(0, nil)
		if err != nil {
			panic(err) // it reads nothing
		}
		return root
	}
	root := h.Edge[len(h.Edge)-1]
	for i := len(h.Edge) - 2; i >= 0; i-- {
		root = tlog.NodeHash(h.Edge[i], root)
	}
	return root
}

// A Tree is where the hashes are kept: [store.AuditLog] is one.
type Tree interface {
	Head(ctx context.Context) (store.AuditHead, error)
	Hashes(ctx context.Context, entries []int64) (map[int64][]byte, error)
}

// errNoHash is for a hash that an entry completed, and that is gone.
var errNoHash = errors.New("audit: the tree was cut or altered: it has no hash")

// nodes reads hashes of the tree by their tlog index: the hash n of a level was
// completed by entry (n+1)<<level.
func nodes(ctx context.Context, t Tree) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		entries := make([]int64, len(indexes))
		for i, x := range indexes {
			level, n := tlog.SplitStoredHashIndex(x)
			entries[i] = (n + 1) << level
		}
		rows, err := t.Hashes(ctx, entries)
		if errors.Is(err, store.ErrNotFound) {
			return nil, errNoHash
		}
		if err != nil {
			return nil, err
		}
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			level, _ := tlog.SplitStoredHashIndex(x)
			row := rows[entries[i]]
			if len(row) < (level+1)*tlog.HashSize {
				return nil, fmt.Errorf("%w of level %d at entry %d", errNoHash, level, entries[i])
			}
			out[i] = tlog.Hash(row[level*tlog.HashSize:])
		}
		return out, nil
	})
}

// HeadAt returns the head that the log had when it had size entries.
func HeadAt(ctx context.Context, t Tree, size int64) (Head, error) {
	h := Head{Size: size}
	var indexes []int64
	for rest, done := size, int64(0); rest > 0; {
		level := bits.Len64(uint64(rest)) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, done>>level))
		done += 1 << level
		rest -= 1 << level
	}
	if size == 0 {
		return h, nil
	}
	edge, err := nodes(ctx, t).ReadHashes(indexes)
	h.Edge = edge
	return h, err
}

// ErrNoEntry is for an index that is not in a log of that size.
var ErrNoEntry = errors.New("the log has no such entry")

// ProveEntry returns the hashes that lead from an entry to the root of the tree
// of a size.
func ProveEntry(ctx context.Context, t Tree, size, index int64) (tlog.RecordProof, error) {
	if index < 1 || index > size {
		return nil, ErrNoEntry
	}
	return tlog.ProveRecord(size, index-1, nodes(ctx, t))
}

// CheckEntry reports whether proof shows leaf to be entry index of the log that
// the checkpoint is of.
func CheckEntry(c Checkpoint, index int64, leaf []byte, proof tlog.RecordProof) error {
	if index < 1 || index > c.Size {
		return ErrNoEntry
	}
	return tlog.CheckRecord(proof, c.Size, c.Root, index-1, tlog.RecordHash(leaf))
}
