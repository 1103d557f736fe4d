package upstream_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// TestDeepBodies: a body of brackets is refused. To look into it would end the
// process.
func TestDeepBodies(t *testing.T) {
	t.Parallel()
	for name, begins := range map[string]string{"alone": "", "in a member": `{"model":"m","messages":`} {
		body := append([]byte(begins), bytes.Repeat([]byte("["), 8<<20)...)
		_, err := upstream.ParseObject(body)
		var refused *upstream.RequestError
		if !errors.As(err, &refused) || refused.Status != 400 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if o, err := upstream.ParseObject([]byte(`{"model":"m","messages":[[[{"a":[]}]]]}`)); err != nil || o.Model != "m" {
		t.Errorf("an ordinary body: %+v, %v", o, err)
	}
}
