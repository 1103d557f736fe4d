package auditlog

import (
	"encoding/json"
	"errors"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/internal/store"
)

func Leaf(e store.AuditEntry) ([]byte, error) { return json.Marshal(e) }

type Head struct {
	Size int64
	Edge []tlog.Hash
}

func ParseHead(size int64, edge []byte) (Head, error) {
	h := Head{Size: size}
	if size < 0 || len(edge) != tlog.HashSize*bits.OnesCount64(uint64(size)) {
		return h, errors.New("bad head")
	}
	for i := 0; i < len(edge); i += tlog.HashSize {
		h.Edge = append(h.Edge, tlog.Hash(edge[i:i+tlog.HashSize]))
	}
	return h, nil
}

func (h Head) EdgeBytes() []byte {
	out := []byte{}
	for _, e := range h.Edge {
		out = append(out, e[:]...)
	}
	return out
}

func (h Head) Append(leaf []byte) (Head, []byte) {
	hash := tlog.RecordHash(leaf)
	completed := append([]byte{}, hash[:]...)
	edge := append([]tlog.Hash{}, h.Edge...)
	for n := h.Size; n&1 == 1; n >>= 1 {
		hash = tlog.NodeHash(edge[len(edge)-1], hash)
		edge = edge[:len(edge)-1]
		completed = append(completed, hash[:]...)
	}
	return Head{h.Size + 1, append(edge, hash)}, completed
}
