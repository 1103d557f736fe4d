package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/secret"
)

// A value is a field of a form of its own.
type value interface {
	read(raw json.RawMessage) error // what is wrong with it, without what was sent
	isZero() bool
	json() any // what is written of it
}

var errNotString = errors.New("must be a string")

// A duration is written like 90s or 10m.
type duration struct {
	d   *time.Duration
	max time.Duration
}

const minTimeout = 100 * time.Millisecond

func (v *duration) read(raw json.RawMessage) error {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return errors.New(`must be a string such as "90s" or "10m"`)
	}
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minTimeout || d > v.max {
		return fmt.Errorf(`must be a duration from %v to %v, such as "90s" or "10m"`, minTimeout, v.max)
	}
	*v.d = d
	return nil
}

func (v *duration) isZero() bool { return *v.d == 0 }
func (v *duration) json() any    { return v.d.String() }

// certificates are PEM.
type certificates struct{ pem *string }

func (v *certificates) read(raw json.RawMessage) (err error) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return errNotString
	}
	if text == "" {
		return nil
	}
	if len(text) > maxCA {
		return fmt.Errorf("must have at most %d bytes", maxCA)
	}
	*v.pem, _, err = parseCA(text)
	return err
}

func (v *certificates) isZero() bool { return *v.pem == "" }
func (v *certificates) json() any    { return *v.pem }

// A proxy is a URL without anything secret in it.
type proxy struct{ url *string }

func (v *proxy) read(raw json.RawMessage) (err error) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return errNotString
	}
	if text == "" {
		return nil
	}
	*v.url, err = parseProxy(text)
	return err
}

func (v *proxy) isZero() bool { return *v.url == "" }
func (v *proxy) json() any    { return *v.url }

// patterns are a list of what is allowed, in the order in which it was given.
type patterns struct {
	list *[]string
	ok   func(string) bool
	name string // for people
}

func (v *patterns) read(raw json.RawMessage) error {
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		return errors.New("must be a list of " + v.name)
	}
	switch {
	case len(list) == 0:
		return errors.New("must not be an empty list: leave it out to allow all")
	case len(list) > maxList:
		return fmt.Errorf("must have at most %d elements", maxList)
	}
	for i, s := range list {
		switch {
		case len(s) > maxElement || !v.ok(s):
			return fmt.Errorf("must be a list of %s, with a * at most at the end: element %d is none", v.name, i+1)
		case slices.Contains(list[:i], s):
			return fmt.Errorf("has element %d twice", i+1)
		}
	}
	*v.list = list
	return nil
}

func (v *patterns) isZero() bool { return *v.list == nil }
func (v *patterns) json() any    { return *v.list }

// headers are names and secret values.
type headers struct{ m *map[string]secret.Text }

const (
	maxHeaders      = 32
	maxHeaderValue  = 4 << 10
	maxHeadersBytes = 16 << 10 // of names and values
)

// ours are the headers that cannot be added: they frame the message or say how
// to read it, concern the connection, are where credentials go, or are signed.
var ours = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Content-Encoding": true, "Content-Type": true,
	"Accept-Encoding": true, "Expect": true, "Trailer": true, "Te": true, "Connection": true, "Keep-Alive": true, "Upgrade": true,
	"Proxy-Connection": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Authorization": true, "X-Api-Key": true, "Api-Key": true, "X-Goog-Api-Key": true, "Cookie": true,
}

func (v *headers) read(raw json.RawMessage) error {
	if bytes.Equal(raw, []byte(`""`)) {
		return nil // as with other secrets
	}
	var given map[string]string
	if json.Unmarshal(raw, &given) != nil {
		return errors.New("must be an object of names and values, both strings")
	}
	m, size := make(map[string]secret.Text, len(given)), 0
	for name, text := range given {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		_, twice := m[canonical]
		size += len(name) + len(text)
		switch {
		case !headerName.MatchString(name):
			return errors.New("has a name that is none of a header, or has more than 128 characters")
		case ours[canonical]:
			return fmt.Errorf("must not have %s: the gateway sets it itself", canonical)
		case strings.HasPrefix(canonical, "X-Amz-"):
			return errors.New("must not have headers that begin with X-Amz-: the gateway sets them itself")
		case twice:
			return errors.New("has a name twice, since small and capital letters are the same in it")
		case strings.Contains(text, "…") || text == secret.Redacted:
			return errors.New("has a masked form in the place of a value: give all of them again, or leave headers out to keep what is there")
		case text == "" || len(text) > maxHeaderValue || strings.Trim(text, " ") != text || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
			return fmt.Errorf("must have values of 1 to %d printable characters, without space around them", maxHeaderValue)
		}
		m[canonical] = secret.New(text)
	}
	if len(m) > maxHeaders || size > maxHeadersBytes {
		return fmt.Errorf("must have at most %d headers, of %d bytes together", maxHeaders, maxHeadersBytes)
	}
	if len(m) > 0 {
		*v.m = m
	}
	return nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")

func (v *headers) isZero() bool { return len(*v.m) == 0 }

func (v *headers) json() any {
	open := make(map[string]string, len(*v.m))
	for name, text := range *v.m {
		open[name] = text.Reveal()
	}
	return open
}
