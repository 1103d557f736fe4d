// Package seed adds the providers that the environment names, so that an
// installation can be set up without a person at it.
//
// A provider is named by variables GATEHOUSE_PROVIDER_<N>_…, N being any number.
// What is in the store counts for more than the environment, unless one asks for
// the reverse: see [Mode]. A provider that was deleted is not brought back.
package seed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehousehq/gatehouse/internal/catalog"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// prefix begins the names of the variables.
const prefix = "GATEHOUSE_PROVIDER_"

// A Provider is a provider that the environment names.
type Provider struct {
	catalog.NewProvider
	// HasKeys is whether the environment says which keys it is to have.
	HasKeys bool

	prefix   string // of its variables
	variable map[string]string
}

// A field is what one variable sets.
type field struct {
	of  string // the field of a provider, as errors name it
	set func(p *Provider, value string) error
}

var fields = map[string]field{
	"TYPE":         {"type", func(p *Provider, v string) error { p.Type = v; return nil }},
	"NAME":         {"name", func(p *Provider, v string) error { p.Name = v; return nil }},
	"DISPLAY_NAME": {"display_name", func(p *Provider, v string) error { p.DisplayName = v; return nil }},
	"BASE_URL":     {"base_url", func(p *Provider, v string) error { p.BaseURL = v; return nil }},
	"STRATEGY":     {"strategy", func(p *Provider, v string) error { p.Strategy = v; return nil }},
	"SETTINGS":     {"settings", func(p *Provider, v string) error { p.Settings = []byte(v); return nil }},
	"ENABLED": {"enabled", func(p *Provider, v string) (err error) {
		if p.Enabled, err = strconv.ParseBool(v); err != nil {
			return errors.New("must be true or false")
		}
		return nil
	}},
	"KEYS": {"api_keys", func(p *Provider, v string) error { return p.keys(v, ",") }},
	"KEYS_FILE": {"api_keys", func(p *Provider, v string) error {
		b, err := os.ReadFile(v)
		if err != nil {
			if e, ok := errors.AsType[*fs.PathError](err); ok {
				err = e.Err // without the name: a key may have been put in its place
			}
			return fmt.Errorf("names a file that cannot be read: %w", err)
		}
		return p.keys(string(b), "\n")
	}},
}

// keys adds the keys of a list. Space around each is the list's, not the key's.
func (p *Provider) keys(list, separator string) error {
	if p.HasKeys {
		return errors.New("gives keys a second time: give KEYS or KEYS_FILE")
	}
	p.HasKeys = true
	for k := range strings.SplitSeq(list, separator) {
		if k = strings.TrimSpace(k); k != "" {
			p.APIKeys = append(p.APIKeys, secret.New(k))
		}
	}
	return nil
}

// vendors are the providers that the variables of their own SDKs make.
var vendors = []struct{ kind, key, base, baseDefault string }{
	{"openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1"},
	{"anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "https://api.anthropic.com"},
}

// FromEnviron returns the providers that environ names, "NAME=VALUE" each, in
// the order of their numbers; with fromVendors, also those that the variables of
// the vendors' SDKs do. An empty variable is as good as none. Errors carry no
// value.
func FromEnviron(environ []string, fromVendors bool) ([]Provider, error) {
	byNumber := map[int]*Provider{}
	vars := map[string]string{}
	var bad []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if value == "" {
			continue
		}
		vars[name] = value
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		number, what, _ := strings.Cut(rest, "_")
		n, err := strconv.Atoi(number)
		f, known := fields[what]
		if err != nil || n < 0 || !known {
			bad = append(bad, fmt.Errorf("%s: there is no such variable; they are %s<N>_ and %s", name, prefix, strings.Join(fieldNames(), ", ")))
			continue
		}
		p := byNumber[n]
		if p == nil {
			p = &Provider{prefix: prefix + number + "_", variable: map[string]string{}}
			p.Enabled = true
			byNumber[n] = p
		}
		p.variable[f.of] = name
		if err := f.set(p, value); err != nil {
			bad = append(bad, fmt.Errorf("%s %w", name, err))
		}
	}
	var out []Provider
	for _, n := range sortedKeys(byNumber) {
		out = append(out, *byNumber[n])
	}
	for _, v := range vendors {
		if !fromVendors || vars[v.key] == "" {
			continue
		}
		p := Provider{variable: map[string]string{"base_url": v.base, "api_keys": v.key}, prefix: v.key}
		p.Type, p.Name, p.Enabled, p.BaseURL = v.kind, v.kind, true, v.baseDefault
		if vars[v.base] != "" {
			p.BaseURL = vars[v.base]
		}
		bad = append(bad, p.keys(vars[v.key], "\n"))
		out = append(out, p)
	}
	return out, errors.Join(bad...)
}

func fieldNames() []string { return sortedKeys(fields) }

func sortedKeys[K int | string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// named returns the name of the variable that a field of the provider comes
// from, or would.
func (p Provider) named(field string) string {
	of, _, _ := strings.Cut(field, "[")
	of, _, _ = strings.Cut(of, ".")
	if v := p.variable[of]; v != "" {
		return v
	}
	for _, name := range fieldNames() {
		if fields[name].of == of {
			return p.prefix + name
		}
	}
	return p.prefix + strings.ToUpper(of)
}
