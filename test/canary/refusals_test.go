package canary_test

import (
	"encoding/json"
	"net/url"
	"strings"
)

// refuse sends what has a secret where none belongs, or is wrong in another way
// and has one in it: whatever is said about it must not carry it.
func (h *house) refuse() {
	const kind = "key in the wrong place"
	k := func() string { return h.vault.one(kind) }
	quoted := func() string { b, _ := json.Marshal(k()); return string(b) } // a string is never refused
	noHost := func() string {                                               // one that a slash does not end before what no host has: "sk-x/…" is a path
		for {
			if key := k(); strings.ContainsAny(strings.SplitN(key, "/", 2)[0], "\\\"<>&'%+=;!$(){}^~*|") {
				return key
			}
		}
	}
	base := h.openai.URL + "/v1"
	good := func(with object) object {
		p := object{"type": "openai", "name": h.name(), "base_url": base, "api_keys": []string{k()}, "enabled": false}
		for name, v := range with {
			p[name] = v
		}
		return p
	}
	for _, body := range []any{
		good(object{"name": k()}), good(object{"name": strings.ToLower(k())}), good(object{"type": k()}), good(object{"base_url": k()}),
		good(object{"base_url": "https://ada:" + url.QueryEscape(k()) + "@h/v1"}), good(object{"base_url": "https://ada:" + k() + "@h/v1"}),
		good(object{"base_url": "https://h/v1?key=" + url.QueryEscape(k())}), good(object{"base_url": "https://h/v1#" + k()}),
		good(object{"base_url": "https://" + noHost() + "/v1"}), good(object{"base_url": "https://169.254.169.254/" + url.PathEscape(k())}),
		good(object{"base_url": "ftp://h/" + url.PathEscape(k())}), good(object{"base_url": "https://h:" + k() + "/v1"}),
		good(object{k(): "x"}), good(object{"key": k()}), good(object{"enabled": k()}), good(object{"display_name": []string{k()}}),
		good(object{"api_keys": k()}), good(object{"api_keys": []any{k(), 7}}), good(object{"api_keys": []any{object{"api_key": k()}}}),
		good(object{"api_keys": []string{k() + " "}}), good(object{"api_keys": []string{" " + k()}}), good(object{"api_keys": []string{k() + "\n"}}),
		good(object{"api_keys": []string{h.vault.first(kind), h.vault.first(kind)}}), good(object{"api_keys": []string{k() + "…"}}), good(object{"api_keys": []string{k() + "é"}}),
		good(object{"api_keys": []string{strings.Repeat(k(), 100)}}), good(object{"api_keys": map[string]string{k(): k()}}),
		good(object{"strategy": k()}), good(object{"settings": k()}), good(object{"settings": object{"_type": k()}}), good(object{"settings": object{"_type": "openai", "_version": k()}}),
		good(object{"settings": object{"_type": "openai", "_version": 1, k(): "x"}}), good(object{"settings": object{"_type": "openai", "_version": 1, "access_key_secret": k()}}),
		good(object{"settings": object{"_type": "bedrock", "_version": 1, "region": k()}}), good(object{"settings": []string{k()}}),
		good(object{"type": "anthropic", "api_keys": nil, "settings": object{"_type": "bedrock", "_version": 1, "region": "us-east-1", "access_key": k()}}),
		good(object{"type": "anthropic", "api_keys": nil, "settings": object{"_type": "bedrock", "_version": 1, "region": "us-east-1", "access_key_secret": k()}}),
		good(object{"type": "anthropic", "api_keys": nil, "settings": object{"_type": "bedrock", "_version": 1, "region": "us-east-1", "role_arn": k()}}),
		good(object{"type": "anthropic", "api_keys": nil, "settings": object{"_type": "bedrock", "_version": 1, "region": "us-east-1", "access_key": []string{k()}, "access_key_secret": object{k(): k()}}}),
		good(object{"type": "anthropic", "settings": object{"_type": "bedrock", "_version": 1, "region": "us-east-1"}, "api_keys": []string{k()}}),
		// JSON that is none, or not that of a provider.
		`{"name":` + quoted(), `{"name":` + quoted() + `,}`, quoted(), `[` + quoted() + `]`, `{` + quoted() + `:` + quoted() + `}`, k(), `{"name":"` + "\x00" + k(), `{"a":` + k() + `}`,
		`{"type":"openai","name":"twice","base_url":"` + base + `","api_keys":[` + quoted() + `],"api_keys":[` + quoted() + `]}`, strings.Repeat(quoted(), 20000),
	} {
		h.api("POST", providers, body)
		h.api("PATCH", providers+"/openai", body)
		h.api("POST", providers+"/openai/keys", body)
		h.api("POST", "/api/v1/tokens", body)
		h.api("POST", "/api/v1/users", body)
		h.api("POST", "/api/v1/encryption-keys/rotation", body)
	}
	for _, body := range []object{
		{"api_key": h.openaiKey}, {"api_key": k() + " "}, {"api_key": []string{k()}}, {"api_key": k(), "position": k()}, {"api_key": k(), "expires_at": k()}, {"api_key": k(), k(): 1},
		{"api_key": k(), "disabled": k()}, {"label": k()}, {"api_key": k(), "position": -1}, {"id": k()}, {"api_key": h.openaiKey, "label": "again"},
	} {
		h.api("POST", providers+"/openai/keys", body)
		h.api("PATCH", providers+"/openai", object{"api_keys": []object{body, body}})
		h.api("PATCH", providers+"/openai/keys/"+url.PathEscape(k()), body)
	}
	for _, body := range []object{
		{"name": "t", "scopes": []string{k()}}, {"name": "t", "scopes": k()}, {"name": "t", "scopes": []string{"all"}, "owner": k()}, {"name": "t", "scopes": []string{"all"}, "providers": []string{k()}},
		{"name": "t", "scopes": []string{"all"}, "expires_at": k()}, {"name": []string{k()}}, {"name": "t", "token": h.token, "scopes": []string{"gateway:use"}}, {"name": k(), "roles": []string{k()}},
		{"name": "r", "permissions": []string{k()}}, {"mode": k()}, {"installation": k()},
	} {
		for _, path := range []string{"/api/v1/tokens", "/api/v1/users", "/api/v1/roles", "/api/v1/encryption-keys/rotation", "/api/v1/encryption-keys/wipe", "/api/v1/encryption-keys/verify"} {
			h.api("POST", path, body)
		}
	}
	for _, secret := range []string{k(), h.openaiKey, h.token, h.owner} {
		p, q := url.PathEscape(secret), url.QueryEscape(secret)
		for _, path := range []string{
			providers + "/" + p, providers + "/" + p + "/keys", providers + "/openai/keys/" + p, "/api/v1/tokens/" + p, "/api/v1/users/" + p, "/api/v1/roles/" + p, "/api/v1/audit/proof/" + p,
			providers + "?cursor=" + q, providers + "?limit=" + q, providers + "?" + q + "=1", providers + "?include_deleted=" + q, "/api/v1/audit?action=" + q, "/api/v1/audit?resource_id=" + q,
			"/api/v1/audit?since=" + q, "/api/v1/audit?cursor=" + q, "/api/v1/audit/export?format=" + q, "/api/v1/" + p, "/" + p, "/api/v1/tokens?owner=" + q, "/api/v1/encryption-keys?cursor=" + q,
		} {
			for _, method := range []string{"GET", "DELETE", "PATCH", "PUT"} {
				h.api(method, path, object{})
			}
		}
	}
}
