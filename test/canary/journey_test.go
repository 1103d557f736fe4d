package canary_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type object = map[string]any

// A step is something that somebody does with Gatehouse. It is done whole in the
// journey, and with a fault in it, again and again.
type step struct {
	name string
	do   func(h *house)
}

const providers = "/api/v1/ai/providers"

// steps are all that can be done over the API; what can be done to it is in
// refusals, and what the gateway does in calls.
var steps = []step{
	{"add a provider of each type, and take it away again", func(h *house) {
		for _, p := range h.newProviders() {
			h.api("POST", providers, p)
			name, _ := p["name"].(string)
			h.api("GET", providers+"/"+name, nil)
			h.api("DELETE", providers+"/"+name, nil)
			h.api("POST", providers+"/"+name+"/purge", nil)
		}
	}},
	{"sign in by an identity provider", signInByOIDC},
	{"change a provider", func(h *house) {
		name := h.add("openai", h.openai.URL+"/v1", h.vault.one("key of an OpenAI provider"))
		h.api("PATCH", providers+"/"+name, object{"display_name": "Of the canary", "enabled": false})
		h.api("PATCH", providers+"/"+name, object{"base_url": h.openai.URL + "/other/v1"}) // takes the keys again
		h.api("PATCH", providers+"/"+name, object{"api_keys": []object{{"api_key": h.vault.one("key of an OpenAI provider")}}})
		h.api("PATCH", providers+"/"+name, object{"settings": object{"_type": "openai", "_version": 1, "organization": "org", "project": "p"}})
		h.api("PATCH", providers+"/"+name, object{"settings": nil})
	}},
	{"change the settings of a Bedrock provider", func(h *house) {
		name := h.name()
		h.api("POST", providers, object{"type": "anthropic", "name": name, "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com", "settings": h.bedrock(true)})
		h.api("PATCH", providers+"/"+name, object{"settings": h.bedrock(true)})
		h.api("PATCH", providers+"/"+name, object{"settings": h.bedrock(false)})
		h.api("PATCH", providers+"/"+name, object{"settings": object{"_type": "bedrock", "_version": 1, "region": "us-east-1", "access_key": "", "access_key_secret": ""}})
	}},
	{"change how a provider is reached", func(h *house) {
		name := h.name()
		key := func() []object { return []object{{"api_key": h.vault.one("key of an OpenAI provider")}} }
		h.api("POST", providers, object{"type": "openai", "name": name, "base_url": h.openai.URL + "/v1", "settings": h.reached(true)})
		h.api("PATCH", providers+"/"+name, object{"api_keys": key()})
		h.api("PATCH", providers+"/"+name, object{"settings": h.reached(false)}) // keeps both
		h.api("PATCH", providers+"/"+name, object{"settings": h.reached(true)})
		wrong := h.reached(true)
		wrong["proxy"], wrong["headers"] = "http://"+h.vault.one("password of a proxy")+"@proxy:1", object{h.vault.one("header of a provider"): h.vault.one("header of a provider")}
		h.api("PATCH", providers+"/"+name, object{"settings": wrong})
		h.api("PATCH", providers+"/"+name, object{"settings": object{"_type": "openai", "_version": 1, "proxy": "http://127.0.0.1:1"}}) // takes all again
		h.api("PATCH", providers+"/"+name, object{"settings": h.reached(true), "api_keys": key()})
		h.api("POST", providers+"/"+name+"/test", nil)
		h.api("PATCH", providers+"/"+name, object{"settings": object{"_type": "openai", "_version": 1, "headers": nil, "proxy_credentials": ""}})
	}},
	{"add, change and remove keys", func(h *house) {
		name, k := h.add("openai", h.openai.URL+"/v1"), h.vault.one("key of an OpenAI provider")
		id := h.api("POST", providers+"/"+name+"/keys", object{"api_key": k, "label": "first"}).field("id")
		h.api("POST", providers+"/"+name+"/keys", object{"api_key": k}) // it is there already
		h.api("POST", providers+"/"+name+"/keys", object{"api_key": h.vault.one("key of an OpenAI provider"), "position": 0, "disabled": true})
		h.api("PATCH", providers+"/"+name+"/keys/"+id, object{"label": "renamed", "expires_at": time.Now().Add(time.Hour)})
		h.api("GET", providers+"/"+name+"/keys", nil)
		h.api("GET", providers+"/"+name+"/keys/"+id, nil)
		h.api("DELETE", providers+"/"+name+"/keys/"+id, nil)
	}},
	{"delete, restore and purge a provider", func(h *house) {
		name := h.add("anthropic", h.anthropic.URL, h.vault.one("key of an Anthropic provider"))
		id := h.api("GET", providers+"/"+name, nil).field("id")
		h.api("DELETE", providers+"/"+name, nil)
		h.api("POST", providers+"/"+id+"/restore", nil)
		h.api("DELETE", providers+"/"+name, nil)
		h.api("POST", providers+"/"+id+"/purge", nil)
	}},
	{"read all lists", func(h *house) {
		for _, path := range []string{
			providers, providers + "?include_deleted=true&limit=500", "/api/v1/tokens", "/api/v1/users", "/api/v1/roles", "/api/v1/me", "/api/v1/version", "/api/v1/replicas",
			"/api/v1/encryption-keys", "/api/v1/encryption-keys/rotation", "/api/v1/audit?limit=500", "/api/v1/audit/checkpoint", "/api/v1/audit/proof/3", "/healthz", "/readyz",
		} {
			h.api("GET", path, nil)
		}
	}},
	{"users, roles and tokens", func(h *house) {
		name := h.name()
		h.api("POST", "/api/v1/roles", object{"name": "role-" + name, "permissions": []string{"gateway:use", "api_key:read:own"}})
		h.api("POST", "/api/v1/users", object{"name": name, "roles": []string{"role-" + name}})
		made := h.api("POST", "/api/v1/tokens", object{"name": "hers", "scopes": []string{"all"}, "owner": name})
		h.apiAs(made.field("token"), "GET", "/api/v1/me", nil)
		h.apiAs(made.field("token"), "POST", providers, h.newProviders()[0]) // she may not
		h.api("GET", "/api/v1/tokens/"+made.field("id"), nil)
		h.api("PATCH", "/api/v1/users/"+name, object{"disabled": true})
		h.apiAs(made.field("token"), "GET", "/api/v1/me", nil)
		h.api("DELETE", "/api/v1/tokens/"+made.field("id"), nil)
		h.api("DELETE", "/api/v1/users/"+name, nil)
		h.api("PATCH", "/api/v1/roles/role-"+name, object{"description": "d"})
		h.api("DELETE", "/api/v1/roles/role-"+name, nil)
	}},
	{"follow requests", (*house).followRequests},
	{"read the records of requests", func(h *house) { h.readRecords() }},
	{"export", func(h *house) {
		for _, format := range []string{"jsonl", "csv"} {
			req, err := http.NewRequestWithContext(h.faults.client(h.t.Context()), "GET", h.url+"/api/v1/audit/export?format="+format, nil)
			if err != nil {
				h.t.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+h.owner)
			h.send("audit export/"+format, req)
		}
	}},
	{"read what needs no token", func(h *house) {
		for path, where := range map[string]string{
			"/api/v1/openapi.json": "OpenAPI", "/metrics": "metrics", "/": "web pages", "/index.html": "web pages", "/debug/pprof/cmdline": "web pages", "/debug/vars": "web pages",
		} {
			req, err := http.NewRequestWithContext(h.t.Context(), "GET", h.url+path, nil)
			if err != nil {
				h.t.Error(err)
				return
			}
			if where != "OpenAPI" {
				req.Header.Set("Authorization", "Bearer "+h.owner)
			}
			h.send(where, req)
		}
	}},
	{"verify and wipe", func(h *house) {
		h.api("POST", "/api/v1/encryption-keys/verify", object{})
		h.api("POST", "/api/v1/encryption-keys/wipe", object{"installation": h.vault.one("key in the wrong place")})
		installation := h.api("GET", "/api/v1/encryption-keys/rotation", nil).field("installation")
		h.api("POST", "/api/v1/encryption-keys/wipe", object{"installation": installation})
	}},
	{"wrap the data keys again", func(h *house) {
		h.api("POST", "/api/v1/encryption-keys/rotation", object{"mode": "rewrap"})
	}},
	{"rotate", func(h *house) {
		h.api("POST", "/api/v1/encryption-keys/rotation", object{"mode": "full"})
	}},
}

// rotated waits until a rotation is over, and learns the new keys.
func (h *house) rotated() {
	h.t.Helper()
	h.eventually("the rotation is over", func() bool {
		a := h.api("GET", "/api/v1/encryption-keys/rotation", nil)
		return a.field("state") == "idle" && a.field("requested") == ""
	})
	h.learnDataKeys()
}

// newProviders are documents of one provider of each type, with each kind of
// secret that it can have.
func (h *house) newProviders() []object {
	return []object{
		{"type": "openai", "name": h.name(), "base_url": h.openai.URL + "/v1", "api_keys": []string{h.vault.one("key of an OpenAI provider"), h.vault.one("key of an OpenAI provider")}},
		{"type": "anthropic", "name": h.name(), "base_url": h.anthropic.URL, "api_keys": []string{h.vault.one("key of an Anthropic provider")}},
		{"type": "anthropic", "name": h.name(), "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com", "settings": h.bedrock(true)},
		{
			"type": "anthropic", "name": h.name(), "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com", "settings": h.bedrock(false),
			"api_keys": []string{h.vault.one("key pair of a Bedrock provider")},
		},
	}
}

func (h *house) bedrock(pair bool) object {
	doc := object{"_type": "bedrock", "_version": 1, "region": "us-east-1"}
	if pair {
		doc["access_key"], doc["access_key_secret"] = h.vault.one("Bedrock access key"), h.vault.one("Bedrock secret key")
	}
	return doc
}

// reached says that a provider is reached through the proxy, with a header.
func (h *house) reached(secrets bool) object {
	doc := object{"_type": "openai", "_version": 1, "proxy": h.proxy.URL}
	if secrets {
		doc["headers"], doc["proxy_credentials"] = object{addedHeader: h.vault.one("header of a provider")}, "ada:"+h.vault.one("password of a proxy")
	}
	return doc
}

// add makes a provider and returns its name.
func (h *house) add(kind, base string, keys ...string) string {
	name := h.name()
	h.api("POST", providers, object{"type": kind, "name": name, "base_url": base, "api_keys": append([]string{}, keys...)})
	return name
}

// calls are what a client of the gateway does, each to a new provider, whose keys
// nothing is held against yet.
var calls = []step{
	{"OpenAI", func(h *house) { h.call("openai", "/v1/chat/completions", false) }},
	{"OpenAI, streamed", func(h *house) { h.call("openai", "/v1/chat/completions", true) }},
	{"OpenAI, through a proxy", func(h *house) { h.callThrough(false) }},
	{"OpenAI, through a proxy, streamed", func(h *house) { h.callThrough(true) }},
	{"Anthropic", func(h *house) { h.call("anthropic", "/v1/messages", false) }},
	{"Anthropic, streamed", func(h *house) { h.call("anthropic", "/v1/messages", true) }},
	{"Bedrock, as a role", func(h *house) { h.callAsRole(false) }},
	{"Bedrock, as a role, streamed", func(h *house) { h.callAsRole(true) }},
}

func (h *house) call(kind, path string, stream bool) {
	base, key := h.openai.URL+"/v1", "key of an OpenAI provider"
	if kind == "anthropic" {
		base, key = h.anthropic.URL, "key of an Anthropic provider"
	}
	name := h.add(kind, base, h.vault.one(key), h.vault.one(key))
	h.ask(name, path, h.token, stream, nil)
	h.api("DELETE", providers+"/"+name, nil)
	h.api("GET", providers+"/"+name+"?include_deleted=true", nil)
}

// callThrough calls a provider behind the proxy, which is sent a header besides.
func (h *house) callThrough(stream bool) {
	name := h.name()
	key := h.vault.one("key of an OpenAI provider")
	h.api("POST", providers, object{"type": "openai", "name": name, "base_url": h.openai.URL + "/v1", "api_keys": []string{key}, "settings": h.reached(true)})
	h.ask(name, "/v1/chat/completions", h.token, stream, nil)
	h.api("DELETE", providers+"/"+name, nil)
}

// callAsRole calls a provider whose requests are signed by a session that the proxy
// gives out, as STS does.
func (h *house) callAsRole(stream bool) {
	name, doc := h.name(), h.bedrock(true)
	doc["role_arn"], doc["proxy"] = "arn:aws:iam::123456789012:role/canary", h.proxy.URL
	h.api("POST", providers, object{"type": "anthropic", "name": name, "base_url": h.anthropic.URL + "/anthropic", "settings": doc})
	h.ask(name, "/v1/messages", h.token, stream, nil)
	h.api("POST", providers+"/"+name+"/test", nil)
	h.api("GET", providers+"/"+name, nil)
	h.api("DELETE", providers+"/"+name, nil)
}

// leaves are clients that vanish.
var leaves = []step{
	{"in the middle of what it sends to the API", func(h *house) {
		body, err := json.Marshal(h.newProviders()[0])
		if err != nil {
			h.t.Error(err)
		}
		h.sendHalf("POST "+providers+" HTTP/1.1", h.owner, string(body))
	}},
	{"in the middle of what it sends to the gateway", func(h *house) {
		name := h.add("openai", h.openai.URL+"/v1", h.vault.one("key of an OpenAI provider"))
		h.sendHalf("POST /ai/"+name+"/v1/chat/completions HTTP/1.1", h.token, `{"model":"m","messages":"`+h.vault.one("prompt")+`"}`)
	}},
	{"in the middle of a header", func(h *house) {
		h.sendHalf("GET /api/v1/me HTTP/1.1\r\nAuthorization: Bearer "+h.owner+"\x00", h.token, "")
	}},
	{"before the answer", func(h *house) {
		name := h.add("openai", h.openai.URL+"/v1", h.vault.one("key of an OpenAI provider"))
		ctx, cancel := context.WithTimeout(h.t.Context(), time.Millisecond)
		defer cancel()
		h.ask(name, "/v1/chat/completions", h.token, true, func(r *http.Request) { *r = *r.WithContext(ctx) })
	}},
}

// sendHalf sends a request that is cut off in its body.
func (h *house) sendHalf(line, token, body string) {
	u, err := url.Parse(h.url)
	if err != nil || u.Scheme != "http" {
		return // over TLS there is nothing else to see
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "%s\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		line, u.Host, token, len(body)+1000, body) // the server may hang up first
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b, _ := io.ReadAll(c)
	h.tape.write("API answers/all", b)
}

// credentials tries the gateway and the API with what is no token, or in no place
// for one.
func (h *house) credentials() {
	name := h.add("openai", h.openai.URL+"/v1", h.vault.one("key of an OpenAI provider"))
	wrong := []string{h.vault.one("token that nobody has"), h.vault.one("mistyped token"), h.vault.one("key in the wrong place"), h.owner + "x"}
	for _, token := range wrong {
		h.apiAs(token, "GET", "/api/v1/me", nil)
		h.apiAs(token, "POST", providers, h.newProviders()[0])
		h.ask(name, "/v1/chat/completions", token, false, nil)
	}
	for _, token := range append(wrong, h.token, h.owner) {
		escaped := url.PathEscape(token)
		for _, change := range []func(*http.Request){
			func(r *http.Request) { r.URL.RawQuery = "key=" + url.QueryEscape(token) },
			func(r *http.Request) {
				r.URL.RawQuery = "api_key=" + url.QueryEscape(token)
				r.Header.Del("Authorization")
			},
			func(r *http.Request) { r.Header.Set("X-Api-Key", token); r.Header.Set("X-Goog-Api-Key", token) },
			func(r *http.Request) {
				r.Header.Set("Cookie", "token="+token)
				r.Header.Set("Proxy-Authorization", token)
			},
			func(r *http.Request) { r.Header.Set("Authorization", token) },
			func(r *http.Request) { r.SetBasicAuth("ada", token) },
			func(r *http.Request) { r.Header.Set("X-Forwarded-For", token); r.Header.Set("Forwarded", "for="+token) },
			func(r *http.Request) { r.Header.Set("OpenAI-Organization", token); r.Header.Set("Origin", token) },
			func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/ai/"+token+"/v1/x", "/ai/"+escaped+"/v1/x" },
			func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/ai/"+name+"/"+token, "/ai/"+name+"/"+escaped },
			func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/"+token, "/"+escaped },
			func(r *http.Request) {
				r.Method = "GET"
				r.URL.Path, r.URL.RawPath = "/api/v1/"+token, "/api/v1/"+escaped
			},
			func(r *http.Request) { r.Method = strings.Map(onlyToken, token) },
			func(r *http.Request) { r.Header.Set("Content-Type", token); r.Header.Set("Content-Encoding", token) },
			func(r *http.Request) { r.Header.Set("Idempotency-Key", "k"); r.Host = "gatehouse.example" },
		} {
			h.ask("nowhere", "/v1/chat/completions", h.token, false, func(r *http.Request) {
				r.URL.RawQuery = ""
				change(r)
			})
		}
	}
}

// onlyToken keeps what a method may have in it.
func onlyToken(r rune) rune {
	if strings.ContainsRune(letters, r) {
		return r
	}
	return -1
}
