package httpapi

import (
	"encoding/base64"

	"github.com/gatehousehq/gatehouse/client"
)

// A PageInput are the parameters of a list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most items to return."`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before."`
}

// after returns what the cursor stands for: whatever the list handed out.
func (p PageInput) after() (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", badCursor()
	}
	return string(b), nil
}

func badCursor() error {
	return refused("query.cursor", "is not a cursor that a list gave out")
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
