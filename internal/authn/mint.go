package authn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// Limits on what a token may be given.
const (
	MaxTokenName = 128 // characters
	MaxAllowed   = 256 // entries of an allow-list
	maxAllowedLn = 256 // bytes of one entry
	maxRequests  = 1_000_000
)

// A NewToken describes a token to mint.
type NewToken struct {
	Name      string
	Scopes    []string
	Providers []string  // names of providers; empty allows all
	Models    []string  // exact, or with a trailing *; empty allows all
	ExpiresAt time.Time // zero is never
	// RPM and Concurrency are requests a minute and at a time; 0 is any number.
	RPM, Concurrency int64
}

// Mint makes a token for a user and returns its record and, this once, the
// token itself. That it is no stronger than whoever mints it is the store's
// decision.
func Mint(ctx context.Context, tx store.Tx, ownerID string, now time.Time, n NewToken) (store.APIKey, secret.Text, error) {
	if err := n.check(now); err != nil {
		return store.APIKey{}, secret.Text{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return store.APIKey{}, secret.Text{}, err
	}
	t := token.New()
	rec, err := tx.APIKeys.Insert(ctx, store.APIKey{
		ID: id.String(), Name: n.Name, OwnerID: ownerID, TokenHash: token.Sum(t.Reveal()), ExpiresAt: n.ExpiresAt,
		Scopes: store.SetOf(n.Scopes...), Providers: store.SetOf(n.Providers...), Models: store.SetOf(n.Models...),
		RPM: n.RPM, Concurrency: n.Concurrency,
	})
	if err != nil {
		return store.APIKey{}, secret.Text{}, err
	}
	return rec, t, nil
}

func (n NewToken) check(now time.Time) error {
	var bad []error
	refuse := func(field, reason string) {
		bad = append(bad, &store.InvalidError{Field: field, Reason: reason})
	}
	if n.Name == "" || !utf8.ValidString(n.Name) || utf8.RuneCountInString(n.Name) > MaxTokenName || strings.ContainsFunc(n.Name, unicode.IsControl) {
		refuse("name", fmt.Sprintf("must have 1 to %d characters, without line breaks", MaxTokenName))
	}
	if strings.Contains(n.Name, token.Prefix) {
		refuse("name", "must not have a token in it: names are shown and logged")
	}
	if len(n.Scopes) == 0 {
		refuse("scopes", "must name at least one scope")
	}
	for i, s := range n.Scopes {
		if _, err := rbac.ParseScope(s); err != nil {
			refuse(fmt.Sprintf("scopes[%d]", i), "is an "+err.Error())
		}
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now) {
		refuse("expires_at", "is in the past")
	}
	for field, limit := range map[string]int64{"rpm": n.RPM, "concurrency": n.Concurrency} {
		if limit < 0 || limit > maxRequests {
			refuse(field, fmt.Sprintf("must be from 0 to %d", maxRequests))
		}
	}
	for field, list := range map[string][]string{"providers": n.Providers, "models": n.Models} {
		if len(list) > MaxAllowed {
			refuse(field, fmt.Sprintf("must have at most %d entries", MaxAllowed))
		}
		for i, s := range list {
			if s == "" || len(s) > maxAllowedLn || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
				refuse(fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("must be 1 to %d printable characters without spaces", maxAllowedLn))
			}
			if field == "models" && strings.Contains(strings.TrimSuffix(s, "*"), "*") {
				refuse(fmt.Sprintf("%s[%d]", field, i), "may have a * at its end only")
			}
		}
	}
	return errors.Join(bad...)
}
