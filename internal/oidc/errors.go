package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A Reason says, in one word, why somebody was not let in. It stands in the audit log,
// and the console has a sentence for it.
type Reason string

// The reasons. Those from UnknownUser on are found by package authn.
const (
	NoCookie          Reason = "no_cookie"
	FlowExpired       Reason = "flow_expired"
	WrongState        Reason = "wrong_state"
	Unreachable       Reason = "provider_unreachable"
	RefusedByProvider Reason = "refused_by_provider"
	CodeRefused       Reason = "code_refused"
	ClientRefused     Reason = "client_refused"
	BadToken          Reason = "bad_token"
	ExpiredToken      Reason = "expired_token"
	WrongIssuer       Reason = "wrong_issuer"
	WrongAudience     Reason = "wrong_audience"
	WrongNonce        Reason = "wrong_nonce"
	EmailDomain       Reason = "email_domain"
	NoRole            Reason = "no_role"

	UnknownUser  Reason = "unknown_user"
	DisabledUser Reason = "disabled_user"
	NameTaken    Reason = "name_taken"
	BadName      Reason = "bad_name"
	LastOwner    Reason = "last_owner"
	UnknownRole  Reason = "unknown_role"
	TooMany      Reason = "too_many_attempts"
)

// An Error is that somebody was not let in by a provider.
type Error struct {
	Provider string // its name
	Reason   Reason
	Err      error // more for the log; may be nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("sign in by %s: %s", e.Provider, e.Reason)
	}
	return fmt.Sprintf("sign in by %s: %s: %v", e.Provider, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

func (p *Provider) refuse(r Reason, err error) error {
	return &Error{Provider: p.cfg.Name, Reason: r, Err: err}
}

// codes are the errors of OAuth 2.0 and OpenID Connect that are repeated in the log.
var codes = []string{
	"access_denied", "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "server_error", "temporarily_unavailable",
	"interaction_required", "login_required", "account_selection_required", "consent_required", "request_not_supported",
	"invalid_client", "invalid_grant", "unsupported_grant_type",
}

// known returns the code if it is one that there is: it may be anything.
func known(code string) string {
	if slices.Contains(codes, code) {
		return code
	}
	return "with an error of its own"
}

// exchangeError says what became of a code. The answer is not repeated.
func (p *Provider) exchangeError(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case ok && refused.ErrorCode == "invalid_grant":
		return p.refuse(CodeRefused, errors.New("its token endpoint answered invalid_grant"))
	case ok && (refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client" || refused.Response.StatusCode == 401):
		return p.refuse(ClientRefused, errors.New("its token endpoint does not take the client id and secret"))
	case ok && refused.ErrorCode != "":
		return p.refuse(CodeRefused, fmt.Errorf("its token endpoint answered %s", known(refused.ErrorCode)))
	case ok:
		return p.refuse(Unreachable, fmt.Errorf("its token endpoint answered with status %d", refused.Response.StatusCode))
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return p.refuse(Unreachable, fmt.Errorf("its token endpoint: %w", sent.Err))
	}
	if errors.Is(err, errTooLarge) {
		return p.refuse(Unreachable, errTooLarge)
	}
	return p.refuse(Unreachable, errors.New("its token endpoint answered with something else than a token"))
}

// whyNot finds out why an ID token was not accepted. What is in it is not believed, but
// tells which of the refusals it was.
func whyNot(err error, raw, issuer, clientID string) Reason {
	if _, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return ExpiredToken
	}
	var c struct {
		Issuer   string `json:"iss"`
		Audience any    `json:"aud"`
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.Contains(err.Error(), "signature") {
		return BadToken
	}
	payload, decodeErr := b64.DecodeString(parts[1])
	if decodeErr != nil || json.Unmarshal(payload, &c) != nil {
		return BadToken
	}
	switch {
	case c.Issuer != issuer:
		return WrongIssuer
	case !slices.Contains(texts(c.Audience), clientID):
		return WrongAudience
	}
	return BadToken
}
