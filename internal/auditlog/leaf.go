// Package auditlog makes the audit log provable. Its entries are the leaves of
// a Merkle tree (RFC 6962, by golang.org/x/mod/sumdb/tlog), whose size and root
// are signed now and then, as a checkpoint, and sent out of reach of whoever can
// write to the database. From a checkpoint kept elsewhere, [Verify] finds
// entries that were altered, removed, added or put in another order.
//
// Entry i is leaf i-1, so a checkpoint of size n covers the entries 1 to n. What
// came after the newest checkpoint kept elsewhere is not covered.
//
// The package knows no database: sqlstore keeps the tree, in the transaction of
// the change that an entry is about.
package auditlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// timeForm is RFC 3339 in UTC, to the microsecond.
const timeForm = "2006-01-02T15:04:05.000000Z"

// Leaf returns the canonical form of an entry: the bytes that are hashed, kept
// and exported. It is one line of JSON, its members in a fixed order:
//
//	{"v":1,"index":…,"time":"…","actor":{"kind":"…","id":"…","name":"…","token_id":"…","token_name":"…"},
//	"action":"…","resource_type":"…","resource_id":"…","target":"…","request_id":"…","address":"…",
//	"user_agent":"…","count":…,"diff":{…}}
func Leaf(e store.AuditEntry) ([]byte, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(e.Diff)); err != nil || compact.String() != e.Diff || e.Diff[0] != '{' {
		return nil, errors.New("audit: the diff of an entry is not a compact JSON object")
	}
	for _, s := range texts(e) {
		if !utf8.ValidString(s) {
			return nil, errors.New("audit: an entry has text that is not UTF-8")
		}
	}
	return appendLeaf(make([]byte, 0, 512+len(e.Diff)), e), nil
}

func texts(e store.AuditEntry) []string {
	return []string{
		string(e.ActorKind), e.ActorID, e.ActorName, e.TokenID, e.TokenName, string(e.Action), string(e.Resource), e.ID, e.Target,
		e.Origin.RequestID, e.Origin.Address, e.Origin.UserAgent, e.Diff,
	}
}

// appendLeaf is [Leaf] for an entry that nothing is wrong with; else its result
// is that of no other entry.
func appendLeaf(b []byte, e store.AuditEntry) []byte {
	member := func(name, value string) {
		b = append(b, name...)
		b = appendString(b, value)
	}
	b = append(b, `{"v":1,"index":`...)
	b = strconv.AppendInt(b, e.Index, 10)
	b = append(b, `,"time":"`...)
	b = e.At.UTC().AppendFormat(b, timeForm)
	member(`","actor":{"kind":`, string(e.ActorKind))
	member(`,"id":`, e.ActorID)
	member(`,"name":`, e.ActorName)
	member(`,"token_id":`, e.TokenID)
	member(`,"token_name":`, e.TokenName)
	member(`},"action":`, string(e.Action))
	member(`,"resource_type":`, string(e.Resource))
	member(`,"resource_id":`, e.ID)
	member(`,"target":`, e.Target)
	member(`,"request_id":`, e.Origin.RequestID)
	member(`,"address":`, e.Origin.Address)
	member(`,"user_agent":`, e.Origin.UserAgent)
	b = append(b, `,"count":`...)
	b = strconv.AppendInt(b, e.Count, 10)
	b = append(b, `,"diff":`...)
	b = append(b, e.Diff...)
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as JSON, escaping what must be and nothing else.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// ParseLeaf reads what [Leaf] wrote, and nothing else.
func ParseLeaf(leaf []byte) (store.AuditEntry, error) {
	var l struct {
		V     int
		Index int64
		Time  time.Time
		Actor struct {
			Kind      store.ActorKind
			ID, Name  string
			TokenID   string `json:"token_id"`
			TokenName string `json:"token_name"`
		}
		Action       rbac.Action
		ResourceType rbac.Resource `json:"resource_type"`
		ResourceID   string        `json:"resource_id"`
		Target       string
		RequestID    string `json:"request_id"`
		Address      string
		UserAgent    string `json:"user_agent"`
		Count        int64
		Diff         json.RawMessage
	}
	if err := json.Unmarshal(leaf, &l); err != nil {
		return store.AuditEntry{}, errors.New("the record of an audit entry is not JSON")
	}
	if l.V != 1 {
		return store.AuditEntry{}, fmt.Errorf("the record of an audit entry is of version %d, and this program knows version 1", l.V)
	}
	e := store.AuditEntry{
		Index: l.Index, At: l.Time, ActorKind: l.Actor.Kind, ActorID: l.Actor.ID, ActorName: l.Actor.Name,
		TokenID: l.Actor.TokenID, TokenName: l.Actor.TokenName, Action: l.Action, Resource: l.ResourceType, ID: l.ResourceID,
		Target: l.Target, Origin: store.Origin{RequestID: l.RequestID, Address: l.Address, UserAgent: l.UserAgent},
		Count: l.Count, Diff: string(l.Diff),
	}
	if again, err := Leaf(e); err != nil || !bytes.Equal(again, leaf) {
		return store.AuditEntry{}, errors.New("the record of an audit entry is not in its canonical form")
	}
	return e, nil
}
