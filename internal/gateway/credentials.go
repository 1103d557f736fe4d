package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/token"
)

// authenticate finds the request's token and decides whether it may use the
// gateway at all.
func (x *exchange) authenticate(s *routing.Snapshot) *refusal {
	presented, bad := presentedToken(x.r.Header)
	if bad != nil {
		return bad
	}
	x.hash = token.Sum(presented)
	t := s.Token(x.hash)
	switch {
	case t == nil:
		return unknownToken
	case !t.ExpiresAt.IsZero() && !x.rec.Began.Before(t.ExpiresAt):
		return expiredToken
	}
	x.token = t
	x.rec.TokenID, x.rec.Token, x.rec.OwnerID = t.ID, t.Name, t.OwnerID
	switch {
	case !t.Use:
		return noGatewayUse
	case credentialInQuery(x.r.URL.RawQuery, presented):
		return tokenInURL
	}
	return nil
}

// presentedToken returns the token that the headers carry, well formed.
//
// Clients fill more than one header (an SDK's own key beside a configured one),
// so values that are no tokens of ours are passed over; but the tokens among
// them must be one and the same.
func presentedToken(h http.Header) (string, *refusal) {
	var found string
	seen, differ := false, false
	take := func(v string) {
		seen = seen || v != ""
		if strings.HasPrefix(v, token.Prefix) {
			differ = differ || found != "" && found != v
			found = v
		}
	}
	authorization := h["Authorization"]
	for _, v := range authorization {
		differ = differ || v != authorization[0]
		scheme, rest, _ := strings.Cut(v, " ")
		if strings.EqualFold(scheme, "Bearer") {
			take(strings.TrimSpace(rest))
		} else {
			seen = true
		}
	}
	for _, v := range h["X-Api-Key"] {
		take(strings.TrimSpace(v))
	}
	for _, v := range h["X-Goog-Api-Key"] {
		take(strings.TrimSpace(v))
	}
	if upgrades(h) {
		for _, p := range offered(h) {
			if v, ok := strings.CutPrefix(p, protocolKey); ok {
				take(v)
			}
		}
	}
	switch {
	case differ:
		return "", ambiguousToken
	case found == "" && seen:
		return "", notOurToken
	case found == "":
		return "", noToken
	case !token.Valid(found):
		return "", malformedToken
	}
	return found, nil
}

// credentialInQuery reports whether the query has a parameter "key", which is
// where Google's clients put a credential, or the token itself anywhere.
func credentialInQuery(query, presented string) bool {
	if query == "" {
		return false
	}
	if strings.Contains(query, presented) {
		return true
	}
	for query != "" {
		var pair string
		// Some servers separate parameters at semicolons too.
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "%") || strings.Contains(value, "%") {
			var err error
			if name, err = url.QueryUnescape(name); err != nil {
				continue
			}
			if value, err = url.QueryUnescape(value); err == nil && strings.Contains(value, presented) {
				return true
			}
		}
		if strings.EqualFold(name, "key") {
			return true
		}
	}
	return false
}

// providerAllowed reports whether a token's list names the provider, by name or
// by id. A nil list allows all.
func providerAllowed(list []string, p *routing.Provider) bool {
	if list == nil {
		return true
	}
	for _, s := range list {
		if s == p.Name || s == p.ID {
			return true
		}
	}
	return false
}
