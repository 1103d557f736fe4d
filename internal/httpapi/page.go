package httpapi

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/catalog"
)

// A PageInput are the parameters of a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most items to return."`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before."`
}

// after returns what the cursor stands for, "" for none: what the list handed
// out, which known recognises.
func (p PageInput) after(known func(string) bool) (string, error) {
	if p.Cursor == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || !known(string(b)) {
		return "", refused("query.cursor", "is not a cursor that this list gave out")
	}
	return string(b), nil
}

// isID reports whether s is an id, in the one form that we write.
func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

var plainName = regexp.MustCompile(catalog.NamePattern)

// isNameAndID is for a list in the order of names.
func isNameAndID(s string) bool {
	name, id, _ := strings.Cut(s, " ")
	return plainName.MatchString(name) && isID(id)
}

// isPositionAndID is for the keys of a provider.
func isPositionAndID(s string) bool {
	position, id, _ := strings.Cut(s, " ")
	return isIndex(position) && isID(id)
}

// isIndex is for the audit log.
func isIndex(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && n > 0
}

// page makes a page of items read with one more than its limit, so that it is
// known whether another follows.
func page[R, T any](recs []R, limit int, item func(R) T, cursor func(R) string) client.Page[T] {
	out := client.Page[T]{Items: make([]T, 0, min(len(recs), limit))}
	for i, r := range recs {
		if i == limit {
			next := base64.RawURLEncoding.EncodeToString([]byte(cursor(recs[i-1])))
			out.NextCursor = &next
			break
		}
		out.Items = append(out.Items, item(r))
	}
	return out
}
