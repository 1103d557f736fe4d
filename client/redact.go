package client

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Each type with a secret in it prints and logs a copy of itself in which the
// secret is replaced. The copy has a type without methods, or fmt and slog
// would come back here.

func (r CreateProvider) redacted() any {
	type plain CreateProvider
	r.Settings = redactJSON(r.Settings)
	r.APIKeys = redactAll(r.APIKeys)
	return plain(r)
}

// Format prints r under any verb, without its secrets.
func (r CreateProvider) Format(f fmt.State, verb rune) { format(f, verb, r.redacted()) }

// LogValue returns r without its secrets.
func (r CreateProvider) LogValue() slog.Value { return slog.AnyValue(r.redacted()) }

func (r UpdateProvider) redacted() any {
	type plain UpdateProvider
	r.Settings.value = redactJSON(r.Settings.value)
	keys := r.APIKeys
	r.APIKeys = nil
	for _, k := range keys {
		k.APIKey = redact(k.APIKey)
		r.APIKeys = append(r.APIKeys, k)
	}
	return plain(r)
}

// Format prints r under any verb, without its secrets.
func (r UpdateProvider) Format(f fmt.State, verb rune) { format(f, verb, r.redacted()) }

// LogValue returns r without its secrets.
func (r UpdateProvider) LogValue() slog.Value { return slog.AnyValue(r.redacted()) }

func (k KeepOrAdd) redacted() any {
	type plain KeepOrAdd
	k.APIKey = redact(k.APIKey)
	return plain(k)
}

// Format prints k under any verb, without its secret.
func (k KeepOrAdd) Format(f fmt.State, verb rune) { format(f, verb, k.redacted()) }

// LogValue returns k without its secret.
func (k KeepOrAdd) LogValue() slog.Value { return slog.AnyValue(k.redacted()) }

func (r AddKey) redacted() any {
	type plain AddKey
	r.APIKey = redact(r.APIKey)
	return plain(r)
}

// Format prints r under any verb, without its secret.
func (r AddKey) Format(f fmt.State, verb rune) { format(f, verb, r.redacted()) }

// LogValue returns r without its secret.
func (r AddKey) LogValue() slog.Value { return slog.AnyValue(r.redacted()) }

func (t CreatedToken) redacted() any {
	type plain CreatedToken
	t.Secret = redact(t.Secret)
	return plain(t)
}

// Format prints t under any verb, without the token itself.
func (t CreatedToken) Format(f fmt.State, verb rune) { format(f, verb, t.redacted()) }

// LogValue returns t without the token itself.
func (t CreatedToken) LogValue() slog.Value { return slog.AnyValue(t.redacted()) }

func format(f fmt.State, verb rune, v any) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), v) // fmt has nowhere to report it
}

func redact(s string) string {
	if s == "" {
		return ""
	}
	return redacted
}

func redactAll(in []string) []string {
	var out []string
	for _, s := range in {
		out = append(out, redact(s))
	}
	return out
}

func redactJSON(in json.RawMessage) json.RawMessage {
	if len(in) == 0 {
		return in
	}
	return json.RawMessage(`"` + redacted + `"`)
}
