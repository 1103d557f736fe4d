package catalog

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/store"
)

// Limits on what is stored.
const (
	MaxName    = 63   // characters of a provider's name
	MaxText    = 128  // characters of a display name or label
	MaxBaseURL = 2048 // bytes
	MaxAPIKey  = 4096 // bytes of a provider key
	MaxWeight  = 1000 // weight of a provider key
)

// invalid collects what is wrong, so that a person hears of it all at once.
type invalid []error

// check adds the problem of one field.
func (b *invalid) check(field string, err error) {
	if err != nil {
		*b = append(*b, &store.InvalidError{Field: field, Reason: err.Error()})
	}
}

// join adds errors that say themselves where they belong.
func (b *invalid) join(err error) {
	if err != nil {
		*b = append(*b, err)
	}
}

func (b *invalid) err() error { return errors.Join(*b...) }

func checkType(s string) error {
	if !slices.Contains(store.ProviderTypes(), store.ProviderType(s)) {
		return errors.New("must be openai, anthropic or gemini")
	}
	return nil
}

// NamePattern is what the name of a provider looks like.
const NamePattern = `^[a-z0-9]+(-[a-z0-9]+)*$`

var namePattern = regexp.MustCompile(NamePattern)

func (r Rules) checkName(s string) error {
	switch {
	case len(s) > MaxName:
		return fmt.Errorf("must have at most %d characters", MaxName)
	case !namePattern.MatchString(s):
		return errors.New("must be lower-case letters and digits, with single hyphens between them")
	case uuid.Validate(s) == nil:
		return errors.New("must not be a UUID: it could be mistaken for an id")
	case slices.Contains(r.Reserved, s):
		return errors.New("is reserved: the gateway has another use for it; choose another name")
	}
	return nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > MaxText || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("must be at most %d characters, without line breaks", MaxText)
	}
	return nil
}

func checkStrategy(s string) error {
	if !slices.Contains(store.Strategies(), store.Strategy(s)) {
		return errors.New("must be in_order, weighted or least_loaded")
	}
	return nil
}

func checkWeight(n int64) error {
	if n < 0 || n > MaxWeight {
		return fmt.Errorf("must be from 0 to %d", MaxWeight)
	}
	return nil
}

func checkPosition(n int64) error {
	if n < 1 || n > 1_000_000 {
		return errors.New("must be from 1 to 1000000")
	}
	return nil
}

var errForbiddenHost = errors.New("names an address that must not be reached from here: link-local and cloud metadata addresses never are, and this server may have a list of its own")

// NormalBaseURL checks a base URL and returns it as it is kept: without trailing
// slashes, its host in lower case.
func (r Rules) NormalBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case len(s) > MaxBaseURL:
		return "", fmt.Errorf("must have at most %d characters", MaxBaseURL)
	case s == "":
		return "", errors.New("is required: the URL that the vendor's SDK takes, such as https://api.openai.com/v1")
	case err != nil, strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }):
		return "", errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("must begin with https:// or http://")
	case u.Host == "" || u.Hostname() == "":
		return "", errors.New("must have a host")
	case !isHost(u.Hostname()):
		return "", errors.New("has a host that is none: letters, digits, hyphens and dots, or an IP address")
	case u.User != nil:
		return "", errors.New("must not have a user or password in it: keys are given as api_keys")
	case u.RawQuery != "" || u.ForceQuery:
		return "", errors.New("must not have a query")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return "", errors.New("must not have a fragment")
	case u.Port() != "" && !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		return "", errors.New("has a port that is none")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil || path != "" && plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, "/\\") {
			return "", errors.New("has a path with an empty, dotted or escaped segment")
		}
	}
	if r.CheckHost != nil {
		if err := r.CheckHost(u.Hostname()); err != nil {
			return "", errForbiddenHost
		}
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + path, nil
}

// isHost says whether s may be the name of a host, or is an IP address.
// Underscores are in the names that container networks give.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 1<<16
}

// checkAPIKeys checks a list of new keys.
func checkAPIKeys(field string, keys []secret.Text) error {
	var bad invalid
	for i, k := range keys {
		bad.join(checkAPIKey(element(field, i), k))
	}
	if hasDuplicate(keys) {
		bad.join(&store.InvalidError{Field: field, Reason: "has the same key twice"})
	}
	return bad.err()
}

// checkAPIKey refuses what cannot be a key, a masked one above all: it must
// never replace the real one.
func checkAPIKey(field string, key secret.Text) error {
	refuse := func(reason string) error { return &store.InvalidError{Field: field, Reason: reason} }
	s := key.Reveal()
	switch {
	case s == "":
		return refuse("must not be empty")
	case len(s) > MaxAPIKey:
		return refuse(fmt.Sprintf("must have at most %d bytes", MaxAPIKey))
	case strings.Contains(s, "…") || s == secret.Redacted:
		return refuse("is the masked form of a key, not the key: to keep a key, name it by its id")
	case strings.TrimSpace(s) != s:
		return refuse("begins or ends with white space: give the key alone")
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' }):
		return refuse("has characters that no key has: it must be printable ASCII on one line")
	}
	return nil
}

func hasDuplicate(keys []secret.Text) bool {
	seen := map[secret.Text]bool{}
	for _, k := range keys {
		if seen[k] {
			return true
		}
		seen[k] = true
	}
	return false
}
