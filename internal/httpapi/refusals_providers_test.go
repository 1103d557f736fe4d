package httpapi_test

import "strings"

// create is a request to create a provider that is right but for the fields
// that it is given, which replace those of the same name. An empty value leaves
// a field out.
func create(name string, status int, fields ...[2]string) refused {
	body := [][2]string{{"type", `"openai"`}, {"name", `"fresh"`}, {"base_url", `"` + vendor + `"`}}
	for _, f := range fields {
		i := 0
		for i < len(body) && body[i][0] != f[0] {
			i++
		}
		if i == len(body) {
			body = append(body, f)
		}
		body[i] = f
	}
	var members []string
	for _, f := range body {
		if f[1] != "" {
			members = append(members, `"`+f[0]+`":`+f[1])
		}
	}
	return refused{name: "create a provider: " + name, status: status, method: "POST", path: providers, body: "{" + strings.Join(members, ",") + "}"}
}

func createRefusals() []refused {
	var all []refused
	field := func(name, field, value string) {
		all = append(all, create(name, 422, [2]string{field, value}))
	}

	field("no name", "name", "")
	field("name null", "name", "null")
	field("name empty", "name", `""`)
	field("name a number", "name", "5")
	field("name with capitals", "name", `"{mark}"`)
	field("name with an underscore", "name", `"my_provider"`)
	field("name that begins with a hyphen", "name", `"-a"`)
	field("name that ends with a hyphen", "name", `"a-"`)
	field("name with two hyphens together", "name", `"a--b"`)
	field("name beyond ASCII", "name", `"größe"`)
	field("name with a line break", "name", `"a\n"`)
	field("name of 64 characters", "name", `"`+strings.Repeat("a", 64)+`"`)
	field("name that is a UUID", "name", `"0190a5a0-0000-7000-8000-00000000aaaa"`)
	field("name that is a UUID without hyphens", "name", `"0190a5a00000700080000000000000aa"`)
	for _, reserved := range []string{"v1", "providers", "proxy"} {
		field("reserved name "+reserved, "name", `"`+reserved+`"`)
	}
	all = append(all, create("name that is taken", 409, [2]string{"name", `"main"`}))

	field("no type", "type", "")
	field("type null", "type", "null")
	field("type unknown", "type", `"{mark}"`)
	field("type a list", "type", `["openai"]`)

	field("display name of 129 characters", "display_name", `"{129}"`)
	field("display name with a line break", "display_name", `"a\nb"`)
	field("display name with a NUL", "display_name", `"a\u0000b"`)
	field("display name a number", "display_name", "1")
	field("enabled a word", "enabled", `"yes"`)

	all = append(all, createBaseURLRefusals()...)

	field("keys not a list", "api_keys", `"{K3}"`)
	field("key null", "api_keys", "[null]")
	field("key an object", "api_keys", `[{"api_key":"{K3}"}]`)
	field("key empty", "api_keys", `[""]`)
	field("key with a space before", "api_keys", `[" {K3}"]`)
	field("key with a space behind", "api_keys", `["{K3} "]`)
	field("key with a line break behind", "api_keys", `["{K3}\n"]`)
	field("key with a line break in it", "api_keys", `["{K3}\r\nX-Evil: 1"]`)
	field("key beyond ASCII", "api_keys", `["{K3}ß"]`)
	field("key with a DEL", "api_keys", `["{K3}\u007f"]`)
	field("key of 4097 bytes", "api_keys", `["{4097}"]`)
	field("key that is its hint", "api_keys", `["{hint}"]`)
	field("key with an ellipsis in it", "api_keys", `["{K3}…"]`)
	field("key that is the redacted form", "api_keys", `["[redacted]"]`)
	field("key twice", "api_keys", `["{K3}","x","{K3}"]`)
	field("two bad keys", "api_keys", `["ok","",""]`)

	field("settings a string", "settings", `"{mark}"`)
	field("settings a list", "settings", `[]`)
	field("settings without _type", "settings", `{"_version":1}`)
	field("settings without _version", "settings", `{"_type":"openai"}`)
	field("settings of an unknown _type", "settings", `{"_type":"{mark}","_version":1}`)
	field("settings of an unknown _version", "settings", `{"_type":"openai","_version":2}`)
	field("settings with an unknown field", "settings", `{"_type":"openai","_version":1,"{mark}":"{mark}"}`)
	field("settings with a field of another type", "settings", `{"_type":"openai","_version":1,"organization":7}`)
	field("settings with a space", "settings", `{"_type":"openai","_version":1,"organization":"a {mark}"}`)
	field("settings with a line break", "settings", `{"_type":"openai","_version":1,"project":"a\nb"}`)
	field("settings with a field of 257 bytes", "settings", `{"_type":"openai","_version":1,"project":"{257}"}`)
	all = append(all, bedrockRefusals()...)
	all = append(all, create("settings of another type of provider", 422,
		[2]string{"type", `"anthropic"`}, [2]string{"settings", `{"_type":"openai","_version":1}`}))

	for _, f := range []string{"id", "revision", "deleted", "created_at", "{mark}", "nmae", "a.b", "$schema"} {
		field("unknown field "+f, f, `"{mark}"`)
	}
	return append(all, create("much that is wrong is told at once", 422,
		[2]string{"name", `"v1"`}, [2]string{"base_url", `"ftp://h"`}, [2]string{"api_keys", `["",""]`}, [2]string{"settings", `{}`}))
}

func createBaseURLRefusals() []refused {
	var all []refused
	for _, c := range [][2]string{
		{"missing", ""}, {"null", "null"}, {"empty", `""`}, {"a number", "1"},
		{"relative", `"api.example.com/v1"`},
		{"without a scheme", `"//api.example.com/v1"`},
		{"of another scheme", `"ftp://api.example.com/{mark}"`},
		{"a file", `"file:///etc/passwd"`},
		{"without a host", `"https:///v1"`},
		{"with a port only", `"https://:443/v1"`},
		{"with a user", `"https://{mark}@api.example.com/v1"`},
		{"with a user and a password", `"https://u:{mark}@api.example.com/v1"`},
		{"with a query", `"https://api.example.com/v1?key={mark}"`},
		{"with an empty query", `"https://api.example.com/v1?"`},
		{"with a fragment", `"https://api.example.com/v1#{mark}"`},
		{"with an empty fragment", `"https://api.example.com/v1#"`},
		{"with a space", `"https://api.example.com/v 1"`},
		{"with a line break", `"https://api.example.com/v1\n"`},
		{"with a backslash", `"https://api.example.com\\v1"`},
		{"with a host beyond ASCII", `"https://apı.example.com/v1"`},
		{"with a host that is none", `"https://<{mark}>/v1"`},
		{"with two hosts", `"https://api.example.com,{mark}/v1"`},
		{"with port 0", `"https://api.example.com:0/v1"`},
		{"with port 65536", `"https://api.example.com:65536/v1"`},
		{"with an empty port", `"https://api.example.com:/v1"`},
		{"with a port that is a word", `"https://api.example.com:{mark}/v1"`},
		{"with a path that goes up", `"https://api.example.com/v1/../admin"`},
		{"with a dot segment", `"https://api.example.com/./v1"`},
		{"with an empty segment", `"https://api.example.com//v1"`},
		{"with escaped dots", `"https://api.example.com/%2e%2e/v1"`},
		{"with an escaped slash", `"https://api.example.com/a%2fb"`},
		{"with a broken escape", `"https://api.example.com/%zz"`},
		{"of 2049 characters", `"{2049}"`},
		{"the metadata service", `"http://169.254.169.254/latest"`},
		{"the metadata service with a dot behind", `"http://169.254.169.254./latest"`},
		{"the metadata service in decimal", `"http://2852039166/"`},
		{"the metadata service in hexadecimal", `"http://0xa9fea9fe/"`},
		{"the metadata service in octal", `"http://0251.0376.0251.0376/"`},
		{"the metadata service mapped into IPv6", `"http://[::ffff:169.254.169.254]/"`},
		{"the metadata service in IPv6", `"http://[fd00:ec2::254]/"`},
		{"link-local", `"http://169.254.1.1/v1"`},
		{"link-local in IPv6", `"http://[fe80::1]/v1"`},
		{"link-local in IPv6 with a zone", `"http://[fe80::1%25eth0]/v1"`},
		{"unspecified", `"http://0.0.0.0/v1"`},
		{"multicast", `"http://224.0.0.1/v1"`},
		{"on the server's own list", `"http://10.66.1.2/v1"`},
	} {
		all = append(all, create("base URL "+c[0], 422, [2]string{"base_url", c[1]}))
	}
	return all
}

func patchRefusals() []refused {
	var all []refused
	patch := func(name string, status int, body string, headers ...header) {
		all = append(all, refused{"change a provider: " + name, status, "PATCH", "{p}", body, headers})
	}
	for _, f := range []string{"name", "type", "id", "revision", "deleted", "{mark}"} {
		patch("field "+f, 422, `{"`+f+`":"{mark}"}`)
	}
	patch("enabled null", 422, `{"enabled":null}`)
	patch("enabled a word", 422, `{"enabled":"{mark}"}`)
	patch("base URL null", 422, `{"base_url":null}`)
	patch("base URL empty", 422, `{"base_url":""}`)
	patch("base URL the metadata service", 422, `{"base_url":"http://169.254.169.254/"}`)
	patch("keys null", 422, `{"api_keys":null}`)
	patch("display name with a line break", 422, `{"display_name":"{mark}\n"}`)
	patch("display name a list", 422, `{"display_name":["{mark}"]}`)
	patch("settings unknown", 422, `{"settings":{"_type":"{mark}"}}`)
	patch("settings a string", 422, `{"settings":"{mark}"}`)

	patch("key with id and value", 422, `{"api_keys":[{"id":"{k1}","api_key":"{K3}"}]}`)
	patch("key with neither", 422, `{"api_keys":[{}]}`)
	patch("key null", 422, `{"api_keys":[null]}`)
	patch("key a string", 422, `{"api_keys":["{K3}"]}`)
	patch("key of another provider", 422, `{"api_keys":[{"id":"{foreign}"}]}`)
	patch("key of a deleted provider", 422, `{"api_keys":[{"id":"{removed}"}]}`)
	patch("key that is not there", 422, `{"api_keys":[{"id":"{mark}"}]}`)
	patch("key kept twice", 422, `{"api_keys":[{"id":"{k1}"},{"id":"{k1}"}]}`)
	patch("key added twice", 422, `{"api_keys":[{"api_key":"{K3}"},{"api_key":"{K3}"}]}`)
	patch("key added that is kept", 409, `{"api_keys":[{"id":"{k1}"},{"api_key":"{K1}"}]}`)
	patch("key masked", 422, `{"api_keys":[{"id":"{k1}"},{"api_key":"{hint}"}]}`)
	patch("key with space around it", 422, `{"api_keys":[{"api_key":" {K3} "}]}`)
	patch("key with an unknown field", 422, `{"api_keys":[{"id":"{k1}","{mark}":true}]}`)
	patch("key with a label", 422, `{"api_keys":[{"id":"{k1}","label":"{mark}"}]}`)

	patch("another scheme without keys", 422, `{"base_url":"http://api.example.com/v1"}`)
	patch("another host without keys", 422, `{"base_url":"https://eu.example.com/v1"}`)
	patch("another port without keys", 422, `{"base_url":"https://api.example.com:8443/v1"}`)
	patch("another host, one key kept", 422, `{"base_url":"https://eu.example.com/v1","api_keys":[{"id":"{k1}"},{"api_key":"{K3}"}]}`)
	all = append(all, refused{"change a provider: another host without its settings", 422, "PATCH", providers + "/configured", `{"base_url":"https://eu.example.com/v1"}`, nil})

	return append(all, ifMatchRefusals("change a provider", "PATCH", "{p}", `{"enabled":false}`)...)
}

// bedrockRefusals are of settings that have secrets in them.
func bedrockRefusals() []refused {
	var all []refused
	for _, c := range [][3]string{
		{"without a region", `"access_key":"A","access_key_secret":"{mark}"`, ""},
		{"with a region that is none", `"region":"{mark}"`, ""},
		{"with half a pair", `"region":"us-east-1","access_key_secret":"{mark}"`, ""},
		{"with a masked secret", `"region":"us-east-1","access_key":"A","access_key_secret":"{mark}…"`, ""},
		{"with a secret that is a number", `"region":"us-east-1","access_key":"A","access_key_secret":1`, ""},
		{"with an unknown field", `"region":"us-east-1","{mark}":"{mark}"`, ""},
		{"ambient beside a pair", `"region":"us-east-1","access_key":"A","access_key_secret":"{mark}","ambient":true`, ""},
		{"with a role that is none", `"region":"us-east-1","ambient":true,"role_arn":"{mark}"`, ""},
		{"with a role and nothing to assume it with", `"region":"us-east-1","role_arn":"arn:aws:iam::123456789012:role/r"`, `"A:{mark}"`},
		{"with a pair and a key", `"region":"us-east-1","access_key":"A","access_key_secret":"{mark}"`, `"A:{K3}"`},
		{"ambient and a key", `"region":"us-east-1","ambient":true`, `"A:{K3}"`},
		{"with a key of three parts", `"region":"us-east-1"`, `"A:{K3}","A:b:{K3}"`},
	} {
		all = append(all, create("Bedrock "+c[0], 422, [2]string{"type", `"anthropic"`},
			[2]string{"settings", `{"_type":"bedrock","_version":1,` + c[1] + `}`}, [2]string{"api_keys", "[" + c[2] + "]"}))
	}
	return all
}

// deletedRefusals are of what is done with deleted providers.
func deletedRefusals() []refused {
	var all []refused
	for _, verb := range []string{"restore", "purge"} {
		for _, c := range []struct {
			name   string
			status int
			ref    string
		}{
			{"by a name", 404, "gone"}, {"by the name of a live one", 404, "main"}, {"by an unknown id", 404, "{unknown}"},
			{"by an id in capitals", 404, "0190A5A0-0000-7000-8000-00000000DEAD"}, {"by a NUL", 404, "%00"}, {"a live one", 409, "{id}"},
		} {
			all = append(all, refused{verb + " a provider: " + c.name, c.status, "POST", providers + "/" + c.ref + "/" + verb, "", nil})
		}
		all = append(all, ifMatchRefusals(verb+" a provider", "POST", providers+"/{gone}/"+verb, "")...)
		all = append(all, refused{verb + " a provider: no such method", 405, "DELETE", providers + "/{gone}/" + verb, "", nil})
	}
	return append(all,
		refused{"restore a provider: its name is taken", 409, "POST", providers + "/{taken}/restore", "", nil},
		refused{"get a deleted provider: without asking for it", 404, "GET", providers + "/{gone}", "", nil},
		refused{"get a deleted provider: by its name", 404, "GET", providers + "/gone?include_deleted=true", "", nil},
	)
}

// ifMatchRefusals are the conditions that do not hold, or are none.
func ifMatchRefusals(name, method, path, body string) []refused {
	var all []refused
	for _, c := range []struct {
		name, value string
		status      int
	}{
		{"stale", `"2"`, 412}, {"of the future", `"999999"`, 412}, {"without quotes", `1`, 422}, {"weak", `W/"1"`, 422},
		{"a list", `"1", "2"`, 422}, {"of zero", `"0"`, 422}, {"with a zero before", `"01"`, 422}, {"negative", `"-1"`, 422},
		{"a word", `"{mark}"`, 422}, {"too large", `"99999999999999999999"`, 422}, {"with one quote", `"1`, 422}, {"very long", `"{257}"`, 422},
	} {
		all = append(all, refused{name + ": If-Match " + c.name, c.status, method, path, body, []header{{"If-Match", c.value}}})
	}
	return all
}
