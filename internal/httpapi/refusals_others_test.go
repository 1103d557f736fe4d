package httpapi_test

import "strings"

func keyRefusals() []refused {
	var all []refused
	add := func(name string, status int, body string) {
		all = append(all, refused{"add a key: " + name, status, "POST", "{p}/keys", body, nil})
	}
	add("none", 422, `{}`)
	add("null", 422, `{"api_key":null}`)
	add("a number", 422, `{"api_key":12345678901}`)
	add("empty", 422, `{"api_key":""}`)
	add("with space around it", 422, `{"api_key":"\t{K3}"}`)
	add("masked", 422, `{"api_key":"{hint}"}`)
	add("4097 bytes", 422, `{"api_key":"{4097}"}`)
	add("that is there", 409, `{"api_key":"{K2}"}`)
	add("label of 129 characters", 422, `{"api_key":"{K3}","label":"{129}"}`)
	add("label with a line break", 422, `{"api_key":"{K3}","label":"{mark}\n"}`)
	add("position 0", 422, `{"api_key":"{K3}","position":0}`)
	add("position 1000001", 422, `{"api_key":"{K3}","position":1000001}`)
	add("position a half", 422, `{"api_key":"{K3}","position":1.5}`)
	add("position a word", 422, `{"api_key":"{K3}","position":"{mark}"}`)
	add("disabled a word", 422, `{"api_key":"{K3}","disabled":"{mark}"}`)
	add("expiry in the past", 422, `{"api_key":"{K3}","expires_at":"2029-12-31T23:59:59Z"}`)
	add("expiry not a time", 422, `{"api_key":"{K3}","expires_at":"{mark}"}`)
	add("unknown field", 422, `{"api_key":"{K3}","{mark}":1}`)
	add("hint given", 422, `{"api_key":"{K3}","hint":"{mark}"}`)
	all = append(all, ifMatchRefusals("add a key", "POST", "{p}/keys", `{"api_key":"{K3}"}`)...)

	patch := func(name string, status int, body string) {
		all = append(all, refused{"change a key: " + name, status, "PATCH", "{p}/keys/{k1}", body, nil})
	}
	patch("another value", 422, `{"api_key":"{K3}"}`)
	patch("position 0", 422, `{"position":0}`)
	patch("position null", 422, `{"position":null}`)
	patch("position beyond 64 bits", 422, `{"position":123456789012345678901234567890}`)
	patch("disabled null", 422, `{"disabled":null}`)
	patch("label with a line break", 422, `{"label":"\n"}`)
	patch("label a number", 422, `{"label":1234567890123}`)
	patch("expiry not a time", 422, `{"expires_at":"{mark}"}`)
	patch("unknown field", 422, `{"{mark}":"{mark}"}`)
	all = append(all, ifMatchRefusals("change a key", "PATCH", "{p}/keys/{k1}", `{"disabled":true}`)...)
	all = append(all, ifMatchRefusals("remove a key", "DELETE", "{p}/keys/{k1}", "")...)
	return append(all, ifMatchRefusals("delete a provider", "DELETE", "{p}", "")...)
}

func accountRefusals() []refused {
	var all []refused
	user := func(name string, status int, body string) {
		all = append(all, refused{"add a user: " + name, status, "POST", usersPath, body, nil})
	}
	user("no name", 422, `{"roles":[]}`)
	user("no roles", 422, `{"name":"x"}`)
	user("name empty", 422, `{"name":"","roles":[]}`)
	user("name of 129 characters", 422, `{"name":"{129}","roles":[]}`)
	user("name with a line break", 422, `{"name":"{mark}\n","roles":[]}`)
	user("name with space at its end", 422, `{"name":"{mark} ","roles":[]}`)
	user("name a UUID", 422, `{"name":"{unknown}","roles":[]}`)
	user("name taken", 409, `{"name":"ada","roles":[]}`)
	user("role unknown", 422, `{"name":"x","roles":["{mark}"]}`)
	user("role of the system", 422, `{"name":"x","roles":["system:compiler"]}`)
	user("role empty", 422, `{"name":"x","roles":["member",""]}`)
	user("roles a word", 422, `{"name":"x","roles":"{mark}"}`)
	user("id given", 422, `{"name":"x","roles":[],"id":"{unknown}"}`)
	user("disabled given", 422, `{"name":"x","roles":[],"disabled":true}`)
	patch := func(name string, status int, body string) {
		all = append(all, refused{"change a user: " + name, status, "PATCH", usersPath + "/ada", body, nil})
	}
	patch("name null", 422, `{"name":null}`)
	patch("roles null", 422, `{"roles":null}`)
	patch("disabled a word", 422, `{"disabled":"{mark}"}`)
	patch("unknown field", 422, `{"{mark}":1}`)
	patch("the last owner", 409, `{"disabled":true}`)
	all = append(all, refused{"change a user: unknown", 404, "PATCH", usersPath + "/{unknown}", `{"disabled":true}`, nil})
	role := func(name string, status int, body string) {
		all = append(all, refused{"make a role: " + name, status, "POST", rolesPath, body, nil})
	}
	role("no permissions", 422, `{"name":"x"}`)
	role("permissions empty", 422, `{"name":"x","permissions":[]}`)
	role("permission unknown", 422, `{"name":"x","permissions":["gateway:use","{mark}"]}`)
	role("permission of the system", 422, `{"name":"x","permissions":["ai_provider_key:open"]}`)
	role("permission of a whole kind", 422, `{"name":"x","permissions":["ai_provider:*"]}`)
	role("own of what nobody owns", 422, `{"name":"x","permissions":["ai_provider:read:own"]}`)
	role("name of a role of the system", 422, `{"name":"system:x","permissions":["gateway:use"]}`)
	role("name of a built-in role", 409, `{"name":"owner","permissions":["gateway:use"]}`)
	role("name in capitals", 422, `{"name":"{mark}X","permissions":["gateway:use"]}`)
	role("description of 257 characters", 422, `{"name":"x","description":"{129}{129}","permissions":["gateway:use"]}`)
	role("unknown field", 422, `{"name":"x","permissions":["gateway:use"],"{mark}":1}`)
	all = append(all,
		refused{"change a role: built in", 409, "PATCH", rolesPath + "/owner", `{"description":"x"}`, nil},
		refused{"change a role: unknown", 404, "PATCH", rolesPath + "/nothing", `{"description":"x"}`, nil},
		refused{"change a role: name given", 422, "PATCH", rolesPath + "/nothing", `{"name":"x"}`, nil},
		refused{"delete a role: built in", 409, "DELETE", rolesPath + "/member", "", nil},
	)
	return all
}

func tokenRefusals() []refused {
	var all []refused
	add := func(name, body string) {
		all = append(all, refused{"create a token: " + name, 422, "POST", tokens, body, nil})
	}
	add("no name", `{"scopes":["all"]}`)
	add("name empty", `{"name":"","scopes":["all"]}`)
	add("name null", `{"name":null,"scopes":["all"]}`)
	add("name of 129 characters", `{"name":"{129}","scopes":["all"]}`)
	add("name with a line break", `{"name":"{mark}\n","scopes":["all"]}`)
	add("name with a token in it", `{"name":"gate_{mark}","scopes":["all"]}`)
	add("no scopes", `{"name":"ci"}`)
	add("scopes null", `{"name":"ci","scopes":null}`)
	add("scopes empty", `{"name":"ci","scopes":[]}`)
	add("scope empty", `{"name":"ci","scopes":[""]}`)
	add("scope unknown", `{"name":"ci","scopes":["{mark}"]}`)
	add("scope of an action that is not there", `{"name":"ci","scopes":["gateway:delete"]}`)
	add("scope of the system", `{"name":"ci","scopes":["ai_provider_key:open"]}`)
	add("scope of everything of everything", `{"name":"ci","scopes":["*"]}`)
	add("scope with a line break", `{"name":"ci","scopes":["gateway:use\nall"]}`)
	add("too many scopes", `{"name":"ci","scopes":[`+strings.TrimSuffix(strings.Repeat(`"all",`, 65), ",")+`]}`)
	add("expiry in the past", `{"name":"ci","scopes":["all"],"expires_at":"2030-01-01T00:00:00Z"}`)
	add("expiry not a time", `{"name":"ci","scopes":["all"],"expires_at":"{mark}"}`)
	add("provider empty", `{"name":"ci","scopes":["gateway:use"],"providers":[""]}`)
	add("provider with a space", `{"name":"ci","scopes":["gateway:use"],"providers":["{mark} x"]}`)
	add("provider with a line break", `{"name":"ci","scopes":["gateway:use"],"providers":["a\nb"]}`)
	add("too many providers", `{"name":"ci","scopes":["gateway:use"],"providers":[`+strings.TrimSuffix(strings.Repeat(`"a",`, 257), ",")+`]}`)
	add("model of 257 characters", `{"name":"ci","scopes":["gateway:use"],"models":["{257}"]}`)
	add("model with a star inside", `{"name":"ci","scopes":["gateway:use"],"models":["gpt-*-mini"]}`)
	add("model with two stars", `{"name":"ci","scopes":["gateway:use"],"models":["gpt-**"]}`)
	add("limited to providers with every scope", `{"name":"ci","scopes":["all"],"providers":["main"]}`)
	add("limited to models with a scope of the API", `{"name":"ci","scopes":["gateway:use","ai_provider:read"],"models":["gpt-5"]}`)
	add("owner unknown", `{"name":"ci","scopes":["all"],"owner":"{mark}"}`)
	add("token given", `{"name":"ci","scopes":["all"],"token":"{mark}"}`)
	return all
}

func bodyRefusals() []refused {
	var all []refused
	for _, route := range [][2]string{{"POST", providers}, {"PATCH", "{p}"}, {"POST", "{p}/keys"}, {"PATCH", "{p}/keys/{k1}"}, {"POST", tokens},
		{"POST", usersPath}, {"PATCH", usersPath + "/ada"}, {"POST", rolesPath}, {"PATCH", rolesPath + "/nothing"}} {
		send := func(name string, status int, body string, headers ...header) {
			all = append(all, refused{"body: " + name, status, route[0], route[1], body, headers})
		}
		send("none", 400, "")
		send("cut", 400, `{"name":"{mark}`)
		send("not JSON", 400, `name={mark}`)
		send("more behind it", 400, `{} {}`)
		send("a number with a comma", 400, `{"position":1,5}`)
		send("a list", 422, `["{mark}"]`)
		send("null", 422, `null`)
		send("a string", 422, `"{mark}"`)
		send("a form", 415, `name={mark}`, header{"Content-Type", "application/x-www-form-urlencoded"})
		send("text", 415, `{}`, header{"Content-Type", "text/plain"})
		send("of a type that was made up", 415, `{}`, header{"Content-Type", "application/{mark}"})
		send("one byte over 1 MiB", 413, `{"`+strings.Repeat("x", 1<<20-3)+`":1}`)
	}
	// What a field said before it was said again must not come back either.
	return append(all,
		refused{"body: a field twice, first of another kind", 422, "POST", "{p}/keys", `{"api_key":"{K3}","expires_at":"{mark}","expires_at":"2031-01-01T00:00:00Z"}`, nil},
		refused{"body: a field twice, first a list", 422, "PATCH", "{p}/keys/{k1}", `{"label":["{mark}"],"label":"x"}`, nil},
	)
}

func queryRefusals() []refused {
	var all []refused
	for _, list := range []string{providers, "{p}/keys", tokens, usersPath, rolesPath, auditPath} {
		get := func(name, query string) {
			all = append(all, refused{"list: " + name, 422, "GET", list + "?" + query, "", nil})
		}
		get("limit 0", "limit=0")
		get("limit 501", "limit=501")
		get("limit negative", "limit=-1")
		get("limit a word", "limit={mark}")
		get("cursor that is not base64", "cursor=%25%25{mark}")
		get("cursor that is very long", "cursor="+strings.Repeat("A", 513))
		get("cursor of other things", "cursor=WnE4dkszeFcxcExtNXRSYlloN24") // mark
		get("cursor of a NUL", "cursor=AA")
		get("cursor beyond UTF-8", "cursor=__8")
		get("unknown parameter", "{mark}={mark}")
		get("misspelt parameter", "limits=5")
	}
	return append(all,
		refused{"list: include_deleted not true or false", 422, "GET", providers + "?include_deleted={mark}", "", nil},
		refused{"get: unknown parameter", 422, "GET", "{p}?limit=5", "", nil},
	)
}

func pathRefusals() []refused {
	var all []refused
	add := func(name string, status int, method, path, body string) {
		all = append(all, refused{"path: " + name, status, method, path, body, nil})
	}
	for _, ref := range [][2]string{
		{"an unknown name", "nobody"}, {"an unknown id", "{unknown}"}, {"a deleted name", "gone"}, {"a deleted id", "{gone}"},
		{"a name in capitals", "MAIN"}, {"a NUL", "%00"}, {"beyond UTF-8", "%ff"}, {"an id as a URN", "urn:uuid:{id}"},
		{"an id in braces", "%7B{id}%7D"}, {"a name with a slash", "main%2Fkeys"},
	} {
		p := providers + "/" + ref[1]
		add(ref[0], 404, "GET", p, "")
		add(ref[0], 404, "PATCH", p, `{"enabled":false}`)
		add(ref[0], 404, "DELETE", p, "")
		add(ref[0], 404, "GET", p+"/keys", "")
		add(ref[0], 404, "POST", p+"/keys", `{"api_key":"{K3}"}`)
		add(ref[0], 404, "GET", p+"/keys/{k1}", "")
		add(ref[0], 404, "PATCH", p+"/keys/{k1}", `{"disabled":true}`)
		add(ref[0], 404, "DELETE", p+"/keys/{k1}", "")
	}
	add("a very long name", 422, "GET", providers+"/{257}", "")
	for _, id := range [][2]string{
		{"an unknown key", "{unknown}"}, {"a key of another provider", "{foreign}"}, {"a key of a deleted provider", "{removed}"},
		{"a key by no id", "{mark}"}, {"a key by a NUL", "%00"}, {"a key by a URN", "urn:uuid:{k1}"},
	} {
		add(id[0], 404, "GET", "{p}/keys/"+id[1], "")
		add(id[0], 404, "PATCH", "{p}/keys/"+id[1], `{"disabled":true}`)
		add(id[0], 404, "DELETE", "{p}/keys/"+id[1], "")
	}
	for _, id := range [][2]string{{"an unknown token", "{unknown}"}, {"a token by no id", "{mark}"}, {"a token by a NUL", "%00"}, {"a token by a URN", "urn:uuid:{unknown}"}} {
		add(id[0], 404, "GET", tokens+"/"+id[1], "")
		add(id[0], 404, "DELETE", tokens+"/"+id[1], "")
	}
	for _, ref := range [][2]string{
		{"an unknown name", "nobody"}, {"an unknown id", "{unknown}"}, {"a NUL", "%00"}, {"beyond UTF-8", "%ff"}, {"an id in braces", "%7B{unknown}%7D"}, {"no name", "{mark}"},
	} {
		add("a user by "+ref[0], 404, "GET", usersPath+"/"+ref[1], "")
		add("a user by "+ref[0], 404, "PATCH", usersPath+"/"+ref[1], `{"disabled":true}`)
		add("a user by "+ref[0], 404, "DELETE", usersPath+"/"+ref[1], "")
		add("a role by "+ref[0], 404, "GET", rolesPath+"/"+ref[1], "")
		add("a role by "+ref[0], 404, "PATCH", rolesPath+"/"+ref[1], `{"description":"x"}`)
		add("a role by "+ref[0], 404, "DELETE", rolesPath+"/"+ref[1], "")
	}
	for _, p := range []string{"/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v2/version", providers + "/", providers + "//keys", "/api/v1/../v1/version", "/api/v1/{mark}"} {
		add("no route", 404, "GET", p, "")
	}
	for _, m := range [][2]string{
		{"PUT", "{p}"}, {"POST", "{p}"}, {"DELETE", providers}, {"PATCH", tokens + "/{unknown}"}, {"POST", auditPath}, {"DELETE", auditPath},
		{"POST", "/api/v1/version"}, {"POST", "/healthz"}, {"PUT", "/readyz"}, {"DELETE", "/api/v1/openapi.json"}, {"OPTIONS", providers},
	} {
		add("no such method", 405, m[0], m[1], "")
	}
	return all
}

func usageRefusals() []refused {
	var all []refused
	for _, path := range []string{"/api/v1/interceptions", "/api/v1/usage", "/api/v1/events"} {
		for _, query := range []string{"status={mark}", "status=6xx", "status=40", "status=0xx", "outcome={mark}", "provider={257}", "key={129}", "{mark}=1"} {
			all = append(all, refused{"requests: " + query, 422, "GET", path + "?" + query, "", nil})
		}
	}
	for _, query := range []string{"limit=0", "limit=501", "cursor={mark}", "cursor=eA", "since={mark}", "until=yesterday"} {
		all = append(all, refused{"requests: " + query, 422, "GET", "/api/v1/interceptions?" + query, "", nil})
	}
	for _, query := range []string{"group_by={mark}", "group_by=key", "limit=0", "limit=1001", "since={mark}"} {
		all = append(all, refused{"usage: " + query, 422, "GET", "/api/v1/usage?" + query, "", nil})
	}
	for _, id := range []string{"{unknown}", "{mark}", "%00"} {
		all = append(all, refused{"requests: no such one", 404, "GET", "/api/v1/interceptions/" + id, "", nil})
	}
	for _, method := range []string{"POST", "DELETE", "PUT", "PATCH"} {
		all = append(all, refused{"requests: no such method", 405, method, "/api/v1/interceptions/{unknown}", "", nil})
	}
	return append(all, refused{"events: a last id of 257 characters", 422, "GET", "/api/v1/events", "", []header{{"Last-Event-ID", "{257}"}}})
}

func encryptionRefusals() []refused {
	var all []refused
	post := func(name string, status int, path, body string) {
		all = append(all, refused{name, status, "POST", encryptionPath + path, body, nil})
	}
	post("rotate: no mode", 422, "/rotation", `{}`)
	post("rotate: unknown mode", 422, "/rotation", `{"mode":"{mark}"}`)
	post("rotate: mode empty", 422, "/rotation", `{"mode":""}`)
	post("rotate: mode in capitals", 422, "/rotation", `{"mode":"FULL"}`)
	post("rotate: mode null", 422, "/rotation", `{"mode":null}`)
	post("rotate: mode a number", 422, "/rotation", `{"mode":1}`)
	post("rotate: unknown field", 422, "/rotation", `{"mode":"full","{mark}":1}`)
	post("rotate: no body", 400, "/rotation", ``)
	post("rotate: not JSON", 400, "/rotation", `{"mode":`)
	post("verify: unknown field", 422, "/verify", `{"{mark}":1}`)
	post("verify: a list", 422, "/verify", `[]`)
	post("verify: no body", 400, "/verify", ``)
	post("wipe: no installation", 422, "/wipe", `{}`)
	post("wipe: installation empty", 422, "/wipe", `{"installation":""}`)
	post("wipe: another installation", 422, "/wipe", `{"installation":"{unknown}"}`)
	post("wipe: installation not an id", 422, "/wipe", `{"installation":"{mark}"}`)
	post("wipe: installation of 257 characters", 422, "/wipe", `{"installation":"{257}"}`)
	post("wipe: installation null", 422, "/wipe", `{"installation":null}`)
	post("wipe: unknown field", 422, "/wipe", `{"installation":"{unknown}","{mark}":true}`)
	for _, list := range []string{encryptionPath, "/api/v1/replicas"} {
		for _, query := range []string{"limit=0", "limit=501", "limit={mark}", "cursor={mark}", "cursor=eA", "cursor=LTE"} {
			all = append(all, refused{"list: " + query, 422, "GET", list + "?" + query, "", nil})
		}
	}
	for _, method := range []string{"DELETE", "PUT", "PATCH"} {
		all = append(all, refused{"keys: no such method", 405, method, encryptionPath, "", nil})
	}
	all = append(all, refused{"keys: no single one", 404, "GET", encryptionPath + "/1", "", nil})
	return all
}
