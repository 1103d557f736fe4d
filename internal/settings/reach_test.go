package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/internal/settings"
)

// certificate returns one in PEM.
func certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// members returns a document of type openai with those members.
func members(m string) []byte { return []byte(`{"_type":"openai","_version":1,` + m + `}`) }

func TestReachOfEveryTypeOfDocument(t *testing.T) {
	t.Parallel()
	one, two := certificate(t), certificate(t)
	types := map[string]string{
		`"_type":"openai","_version":1`: "openai", `"_type":"azure","_version":1`: "openai",
		`"_type":"anthropic","_version":1`: "anthropic", `"_type":"bedrock","_version":1,"region":"eu-central-1"`: "anthropic",
	}
	for _, c := range []struct{ name, members, full, public, secrets string }{
		{"nothing", ``, ``, ``, ``},
		{"nulls and empty strings", `,"first_byte_timeout":"","idle_timeout":null,"connect_timeout":"","headers":null,"ca":"","proxy":"","proxy_credentials":"","allowed_paths":null,"allowed_models":null`, ``, ``, ``},
		{"timeouts", `,"connect_timeout":"5s","idle_timeout":"1h0m0s","first_byte_timeout":"90s"`, `,"first_byte_timeout":"1m30s","idle_timeout":"1h0m0s","connect_timeout":"5s"`, "=", ``},
		{"the least and the most time", `,"first_byte_timeout":"100ms","idle_timeout":"24h","connect_timeout":"5m"`, `,"first_byte_timeout":"100ms","idle_timeout":"24h0m0s","connect_timeout":"5m0s"`, "=", ``},
		{"headers, by their canonical names", `,"headers":{"x-tenant":"a b","CF-Access-Client-Secret":"s<&>"}`, `,"headers":{"Cf-Access-Client-Secret":"s\u003c\u0026\u003e","X-Tenant":"a b"}`, ``, `"headers"`},
		{"no headers", `,"headers":{}`, ``, ``, ``},
		{"certificates, without what is round them", `,"ca":` + quote("Subject: x\n"+one+"\n\nSubject: y\n"+two+"\n"), `,"ca":` + quote(one+two), "=", ``},
		{"a proxy", `,"proxy":"http://PROXY.example:3128/"`, `,"proxy":"http://proxy.example:3128"`, "=", ``},
		{"a proxy of IPv6 with a password", `,"proxy":"https://[::1]:3128","proxy_credentials":"ada:pass:word"`, `,"proxy":"https://[::1]:3128","proxy_credentials":"ada:pass:word"`, `,"proxy":"https://[::1]:3128"`, `"proxy_credentials"`},
		{"lists", `,"allowed_models":["gpt-5","claude-*"],"allowed_paths":["chat/completions","files/*","files","models*","a%20b","*"]`,
			`,"allowed_paths":["chat/completions","files/*","files","models*","a%20b","*"],"allowed_models":["gpt-5","claude-*"]`, "=", ``},
	} {
		for head, provider := range types {
			doc, err := settings.Parse(provider, []byte("{"+head+c.members+"}"), "")
			if err != nil {
				t.Errorf("%s: %s: %v", c.name, head, err)
				continue
			}
			full, public := "{"+head+c.full+"}", "{"+head+c.public
			if c.public == "=" {
				public = "{" + head + c.full
			}
			if c.secrets != "" {
				public += `,"_secrets":[` + c.secrets + `]`
			}
			if diff := cmp.Diff([]string{doc.Full.Reveal(), doc.Public}, []string{full, public + "}"}); diff != "" {
				t.Errorf("%s: %s (-got +want):\n%s", c.name, head, diff)
			}
			if again, err := settings.Parse(provider, []byte(doc.Public), doc.Public); err != nil || again.Public != doc.Public {
				t.Errorf("%s: sent back as it is shown: %v, %s", c.name, err, again.Public)
			}
			if shown := fmt.Sprintf("%+v %#v", doc, doc.Fields); strings.Contains(shown, "s<&>") || strings.Contains(shown, "pass:word") {
				t.Errorf("%s: it shows a secret: %s", c.name, shown)
			}
		}
	}
}

func TestReachIsRead(t *testing.T) {
	t.Parallel()
	pems := certificate(t) + certificate(t)
	doc, err := settings.Parse("openai", members(`"first_byte_timeout":"90s","headers":{"a-b":"canary"},"ca":`+quote(pems)+`,"proxy":"http://p:1","allowed_paths":["x"]`), "")
	if err != nil {
		t.Fatal(err)
	}
	r := settings.ReachOf(doc.Fields)
	list, err := r.Certificates()
	u, uerr := r.ProxyURL()
	if err != nil || uerr != nil || len(list) != 2 || u.String() != "http://p:1" {
		t.Errorf("%d certificates, %v; proxy %v, %v", len(list), err, u, uerr)
	}
	if r.FirstByteTimeout != 90*time.Second || r.AddedHeaders["A-B"].Reveal() != "canary" || r.AllowedModels != nil || r.AllowedPaths[0] != "x" {
		t.Errorf("it is %+v", r)
	}
	if none := settings.ReachOf(nil); none.AllowedPaths != nil || none.Proxy != "" {
		t.Errorf("that of no settings is %+v", none)
	}
}

func TestReachFieldsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := certificate(t)
	bad := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(canary)}))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte(canary)}))
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for _, c := range []struct{ members, field, message string }{
		{`"first_byte_timeout":"` + canary + `"`, "first_byte_timeout", "from 100ms to 24h0m0s"}, {`"first_byte_timeout":90`, "first_byte_timeout", "string"},
		{`"first_byte_timeout":"99ms"`, "first_byte_timeout", "from"}, {`"idle_timeout":"24h1ns"`, "idle_timeout", "from"}, {`"idle_timeout":"-1s"`, "idle_timeout", "from"},
		{`"connect_timeout":"5m1s"`, "connect_timeout", "to 5m0s"}, {`"idle_timeout":"0s"`, "idle_timeout", "from"},

		{`"headers":"` + canary + `"`, "headers", "object"}, {`"headers":["` + canary + `"]`, "headers", "object"}, {`"headers":{"a":1}`, "headers", "object"},
		{`"headers":{"` + canary + ` x":"v"}`, "headers", "name"}, {`"headers":{"":"v"}`, "headers", "name"}, {`"headers":{"` + strings.Repeat("a", 129) + `":"v"}`, "headers", "name"},
		{`"headers":{"a":"` + canary + `\r\nX: y"}`, "headers", "printable"}, {`"headers":{"a":"` + canary + `\u0000"}`, "headers", "printable"}, {`"headers":{"a":"é` + canary + `"}`, "headers", "printable"},
		{`"headers":{"a":" ` + canary + `"}`, "headers", "printable"}, {`"headers":{"a":""}`, "headers", "printable"}, {`"headers":{"a":null}`, "headers", "printable"},
		{`"headers":{"a":"` + strings.Repeat("v", 4097) + `"}`, "headers", "printable"}, {`"headers":{"a":"can…ary"}`, "headers", "masked"}, {`"headers":{"a":"[redacted]"}`, "headers", "masked"},
		{`"headers":{"a":"1","A":"2"}`, "headers", "twice"}, {`"headers":{` + many(33, `"a%d":"v",`) + `}`, "headers", "at most 32"},
		{`"headers":{` + many(5, `"a%d":"`+strings.Repeat("v", 4000)+`",`) + `}`, "headers", "16384 bytes"},

		{`"ca":"` + canary + `"`, "ca", "BEGIN CERTIFICATE"}, {`"ca":7`, "ca", "string"}, {`"ca":` + quote(good+bad), "ca", "block 2"}, {`"ca":` + quote(bad), "ca", "block 1"},
		{`"ca":` + quote(good+private), "ca", "block 2"}, {`"ca":` + quote(good+good[:len(good)-30]), "ca", "block 2"}, {`"ca":` + quote(good[:len(good)-30]+"\n"+good), "ca", "block 1"},
		{`"ca":` + quote(strings.Repeat(good, 33)), "ca", "at most 32"}, {`"ca":` + quote(good+strings.Repeat(" ", 64<<10)), "ca", "65536 bytes"},

		{`"proxy":7`, "proxy", "string"}, {`"proxy":"socks5://` + canary + `"`, "proxy", "http"}, {`"proxy":"` + canary + `:3128"`, "proxy", ""}, {`"proxy":"http://ada:` + canary + `@p:3128"`, "proxy", "proxy_credentials"},
		{`"proxy":"http://"`, "proxy", "host"}, {`"proxy":"http://:3128"`, "proxy", "host"}, {`"proxy":"http://p:0"`, "proxy", "port"}, {`"proxy":"http://p:65536"`, "proxy", "port"}, {`"proxy":"http://p:"`, "proxy", "port"},
		{`"proxy":"http://p/` + canary + `"`, "proxy", "alone"}, {`"proxy":"http://p?a"`, "proxy", "alone"}, {`"proxy":"http://p?"`, "proxy", "alone"}, {`"proxy":"http://p#"`, "proxy", "alone"},
		{`"proxy":"http://p a"`, "proxy", "URL"}, {`"proxy":"http://pé"`, "proxy", "URL"}, {`"proxy":"http://p%41"`, "proxy", ""}, {`"proxy":"http://[fe80::1%25eth0]"`, "proxy", "host"},
		{`"proxy_credentials":"ada:` + canary + `"`, "proxy_credentials", "without proxy"}, {`"proxy":"http://p","proxy_credentials":"` + canary + `"`, "proxy_credentials", "USER:PASSWORD"},
		{`"proxy":"http://p","proxy_credentials":":` + canary + `"`, "proxy_credentials", "USER:PASSWORD"}, {`"proxy":"http://p","proxy_credentials":"a:can…ary"`, "proxy_credentials", "masked"},

		{`"allowed_paths":"` + canary + `"`, "allowed_paths", "list"}, {`"allowed_paths":[]`, "allowed_paths", "leave it out"}, {`"allowed_paths":["ok",""]`, "allowed_paths", "element 2"},
		{`"allowed_paths":["/chat"]`, "allowed_paths", "element 1"}, {`"allowed_paths":["v1/chat"]`, "allowed_paths", "after /v1/"}, {`"allowed_paths":["a//b"]`, "allowed_paths", "element 1"},
		{`"allowed_paths":["a*b"]`, "allowed_paths", "element 1"}, {`"allowed_paths":["a**"]`, "allowed_paths", "element 1"}, {`"allowed_paths":["a/"]`, "allowed_paths", "element 1"},
		{`"allowed_paths":["a?b"]`, "allowed_paths", "element 1"}, {`"allowed_paths":["a b"]`, "allowed_paths", "element 1"}, {`"allowed_paths":["a","a"]`, "allowed_paths", "twice"}, {`"allowed_paths":[7]`, "allowed_paths", "list"},
		{`"allowed_paths":[` + many(257, `"a%d",`) + `]`, "allowed_paths", "at most 256"}, {`"allowed_paths":["` + strings.Repeat("a", 257) + `"]`, "allowed_paths", "element 1"},
		{`"allowed_models":[]`, "allowed_models", "leave it out"}, {`"allowed_models":["g*t"]`, "allowed_models", "element 1"}, {`"allowed_models":["a b"]`, "allowed_models", "element 1"},
		{`"allowed_models":["` + canary + `é"]`, "allowed_models", "element 1"}, {`"allowed_models":[""]`, "allowed_models", "element 1"},
	} {
		_, err := settings.Parse("openai", members(c.members), "")
		var f *settings.FieldError
		if !errors.As(err, &f) || f.Field != c.field || !strings.Contains(f.Message, c.message) {
			t.Errorf("%.100s: got %v, want an error of field %q with %q", c.members, err, c.field, c.message)
			continue
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%.100s: the error has what was sent: %v", c.members, err)
		}
	}
}

// What frames a message, belongs to the connection or carries a credential is the
// gateway's to set.
func TestHeadersThatCannotBeAdded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Host", "Content-Length", "transfer-encoding", "Content-Encoding", "Content-Type", "Accept-Encoding", "Expect", "Trailer", "TE", "Connection", "Keep-Alive",
		"Upgrade", "Proxy-Connection", "Proxy-Authenticate", "proxy-authorization", "AUTHORIZATION", "x-api-key", "api-key", "x-goog-api-key", "Cookie", "X-Amz-Security-Token", "x-amz-date",
	} {
		_, err := settings.Parse("openai", members(`"headers":{"`+name+`":"v"}`), "")
		var f *settings.FieldError
		if !errors.As(err, &f) || f.Field != "headers" || !strings.Contains(f.Message, "gateway sets") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSecretsOfAReachAreKeptOrCleared(t *testing.T) {
	t.Parallel()
	const both, before = `"headers":{"A":"b"},"proxy":"http://p:1","proxy_credentials":"a:b"`, `{"_type":"openai","_version":1,"proxy":"http://p:1","_secrets":["headers","proxy_credentials"]}`
	for _, c := range []struct {
		name, sent, field string
		given, kept       []string
	}{
		{"given", both, "", []string{"headers", "proxy_credentials"}, nil},
		{"left out", `"proxy":"http://p:1"`, "", nil, []string{"headers", "proxy_credentials"}},
		{"no headers", `"proxy":"http://p:1","headers":{}`, "", nil, []string{"proxy_credentials"}},
		{"null", `"proxy":"http://p:1","headers":null,"proxy_credentials":null`, "", nil, nil},
		{"empty strings", `"headers":"","proxy_credentials":""`, "", nil, nil},
		{"a password without its proxy", `"headers":{}`, "proxy_credentials", nil, nil},
	} {
		doc, err := settings.Parse("openai", members(c.sent), before)
		if c.field != "" {
			var f *settings.FieldError
			if !errors.As(err, &f) || f.Field != c.field {
				t.Errorf("%s: got %v", c.name, err)
			}
			continue
		}
		if diff := cmp.Diff([][]string{doc.Given, doc.Kept}, [][]string{c.given, c.kept}); err != nil || diff != "" {
			t.Errorf("%s: %v (-got +want):\n%s", c.name, err, diff)
		}
	}
}

func TestWhatRedirects(t *testing.T) {
	t.Parallel()
	plain := settings.Reach{}
	behind, other := settings.Reach{Proxy: "http://p:1"}, settings.Reach{Proxy: "http://p:2"}
	own, foreign := settings.Reach{CA: "one"}, settings.Reach{CA: "another"}
	for _, c := range []struct {
		name     string
		from, to settings.Reach
		want     bool
	}{
		{"nothing", plain, plain, false}, {"a proxy", plain, behind, true}, {"another proxy", behind, other, true}, {"the same proxy", behind, behind, false}, {"no proxy any more", behind, plain, false},
		{"certificates", plain, own, true}, {"other certificates", own, foreign, true}, {"the same certificates", own, own, false}, {"the system's again", own, plain, false},
		{"time", plain, settings.Reach{IdleTimeout: 1}, false},
	} {
		if got := c.to.Redirects(c.from); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
