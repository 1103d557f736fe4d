package client

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strconv"
)

func (o ListOptions) query() string { return query(o.values(), nil) }

func (o ListOptions) values() url.Values {
	q := url.Values{}
	o.add(q)
	return q
}

func (o ListOptions) add(q url.Values) {
	if o.Limit != 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Cursor != "" {
		q.Set("cursor", o.Cursor)
	}
}

// query returns q, with what the options add to it, as the end of a path.
func query(q url.Values, opts []ProviderOption) string {
	for _, o := range opts {
		o(q)
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// pages walks a list from its first page to its last. An error is the last
// thing it yields. It asks for a page only once those before it were wanted to
// the end.
func pages[T any](ctx context.Context, list func(context.Context, ListOptions) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var o ListOptions
		for {
			page, err := list(ctx, o)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.NextCursor == nil || *page.NextCursor == "" {
				return
			}
			if *page.NextCursor == o.Cursor {
				yield(*new(T), errors.New("the list does not end: the server gave the same cursor twice"))
				return
			}
			o.Cursor = *page.NextCursor
		}
	}
}
