package sqlstore_test

import (
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store/sqlstore"
)

// A password that is not escaped may end in its midst: what is left of it is not
// taken for a host or a database, which are looked up and shown.
func TestAPasswordIsNotTakenForAHost(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"x@hunter2", "x@hunter2/x", "x@127.0.0.1:1/hunter2", "x@127.0.0.1:1?hunter2", "x@127.0.0.1:1#hunter2", "1/hunter2", "1/@hunter2", "hunter2/x", "hunter2?x", "hunter2#x"} {
		_, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: secret.New("postgres://ada:" + password + "@127.0.0.1:1/db?connect_timeout=1")})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "%40") {
			t.Errorf("%s: %v", password, err)
		}
	}
	for _, password := range []string{"hunter2", "hunter2%2F%40%3F"} {
		_, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: secret.New("postgres://ada:" + password + "@127.0.0.1:1/db?connect_timeout=1")})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "at 127.0.0.1, database \"db\"") {
			t.Errorf("%s: %v", password, err)
		}
	}
}
