package mockbedrock

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// An STS gives out the credentials of sessions, as AWS's Security Token Service
// does: AssumeRole for those who sign their request, AssumeRoleWithWebIdentity for
// those who show a token. It is an [http.Handler], and may be used concurrently.
type STS struct {
	// Region is what requests must be signed for.
	Region string
	// Keys are the ACCESS_KEY_ID:SECRET pairs that are known, besides those of
	// sessions; WebIdentities the tokens.
	Keys, WebIdentities []secret.Text
	// Roles are the ARNs that may be assumed, by all of them.
	Roles []string
	// Lifetime is that of a session; zero is an hour.
	Lifetime time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu       sync.Mutex
	made     int
	sessions map[string]session // by access key id
	names    []string           // that sessions were asked for with
	closed   bool
}

// A session is what a role's credentials are.
type session struct {
	secretKey, token string
	expires          time.Time
}

func (s *STS) clock() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// Names returns the names of the sessions that were given out, in order.
func (s *STS) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// Deny has no role be assumed any more, or be again.
func (s *STS) Deny(denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = denied
}

// Revoke ends all sessions.
func (s *STS) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

// ServeHTTP implements [http.Handler].
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	w.Header().Set("Date", s.clock().UTC().Format(http.TimeFormat))
	form, bad := url.ParseQuery(string(body))
	if err != nil || bad != nil || r.Method != http.MethodPost || form.Get("Version") != "2011-06-15" {
		refuse(w, http.StatusBadRequest, "InvalidAction")
		return
	}
	var code string
	switch action := form.Get("Action"); action {
	case "AssumeRole":
		_, code = verify(r, body, s.Region, "sts", s.Keys, s, s.clock())
	case "AssumeRoleWithWebIdentity":
		if !slices.Contains(s.WebIdentities, secret.New(form.Get("WebIdentityToken"))) {
			code = "InvalidIdentityToken"
		}
	default:
		code = "InvalidAction"
	}
	if code != "" {
		refuse(w, http.StatusForbidden, map[string]string{
			"UnrecognizedClientException": "InvalidClientTokenId", "InvalidSignatureException": "SignatureDoesNotMatch", "ExpiredTokenException": "ExpiredToken",
			"MissingAuthenticationTokenException": "MissingAuthenticationToken",
		}[code], code)
		return
	}
	s.assume(w, form)
}

func (s *STS) assume(w http.ResponseWriter, form url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := form.Get("RoleSessionName")
	switch {
	case len(name) < 2 || len(name) > 64:
		refuse(w, http.StatusBadRequest, "ValidationError")
		return
	case s.closed || !slices.Contains(s.Roles, form.Get("RoleArn")):
		refuse(w, http.StatusForbidden, "AccessDenied")
		return
	}
	lifetime := s.Lifetime
	if lifetime == 0 {
		lifetime = time.Hour
	}
	s.made++
	s.names = append(s.names, name)
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", s.made, form.Get("RoleArn")))
	id, got := fmt.Sprintf("ASIASESSION%05d", s.made), session{"secret/of+" + hex.EncodeToString(sum[:16]), "FwoGZXIvYXdzE" + hex.EncodeToString(sum[:]) + "==", s.clock().Add(lifetime)}
	if s.sessions == nil {
		s.sessions = map[string]session{}
	}
	s.sessions[id] = got
	action := form.Get("Action")
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>%[4]s</SessionToken><Expiration>%[5]s</Expiration></Credentials><AssumedRoleUser><Arn>%[6]s</Arn><AssumedRoleId>AROA:%[7]s</AssumedRoleId></AssumedRoleUser></%[1]sResult><ResponseMetadata><RequestId>0f1e2d3c</RequestId></ResponseMetadata></%[1]sResponse>`,
		action, id, got.secretKey, got.token, got.expires.UTC().Format(time.RFC3339), html.EscapeString(form.Get("RoleArn")), html.EscapeString(name))
}

// find returns the secret of a session, or AWS's name for what is wrong with it.
func (s *STS) find(id, token string, now time.Time) (secretKey, problem string) {
	if s == nil {
		return "", "UnrecognizedClientException"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	got, ok := s.sessions[id]
	switch {
	case !ok || got.token != token:
		return "", "UnrecognizedClientException"
	case !now.Before(got.expires):
		return "", "ExpiredTokenException"
	}
	return got.secretKey, ""
}

// refuse answers with an error in the form of AWS's query protocol. The first code
// that is not empty is meant.
func refuse(w http.ResponseWriter, status int, codes ...string) {
	code := ""
	for i := 0; code == "" && i < len(codes); i++ {
		code = codes[i]
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>User: arn:aws:iam::123456789012:user/gatehouse is not authorized</Message></Error><RequestId>0f1e2d3c</RequestId></ErrorResponse>`, strings.TrimSpace(code))
}
