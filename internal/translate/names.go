package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/tidwall/gjson"
)

// names remembers the tools of a client that have another name or form upstream,
// by their names there: those in a namespace, and custom ones, whose input is
// text and not JSON. Only Responses has either.
type names map[lit]clientTool

type clientTool struct {
	namespace, name lit
	custom          bool
}

// maxName is the longest name of a tool that all vendors take.
const maxName = 64

// flat returns the name of a tool in a namespace as it is without one.
func flat(namespace, name lit) lit {
	if namespace == "" {
		return name
	}
	l := namespace + "__" + name
	if len(l) <= maxName {
		return l
	}
	sum := sha256.Sum256([]byte(l))
	tail := "_" + hex.EncodeToString(sum[:6])
	return lit(strings.TrimRight(string(l[:maxName-len(tail)]), `\`)) + lit(tail)
}

// note remembers a tool, and returns its name upstream.
func (n *names) note(t clientTool) lit {
	l := flat(t.namespace, t.name)
	if t.namespace != "" || t.custom {
		if *n == nil {
			*n = names{}
		}
		(*n)[l] = t
	}
	return l
}

// customSchema is that of the function in the place of a custom tool.
const customSchema = `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`

// custom returns the function that takes the place of a custom tool. A grammar
// cannot be enforced, and is told.
func (n *names) custom(namespace lit, spec gjson.Result) tool {
	t := tool{
		name:        n.note(clientTool{namespace: namespace, name: litOf(spec.Get("name")), custom: true}),
		description: litOf(spec.Get("description")), schema: customSchema,
	}
	if f := spec.Get("format"); f.Get("type").Str == "grammar" {
		t.description += `\n\nThe input is text in this grammar (` + litOf(f.Get("syntax")) + `):\n` + litOf(f.Get("definition"))
	}
	return t
}

// wrapInput returns the arguments of the function for the input of a custom tool.
func wrapInput(input lit) string { return `{"input":"` + string(input) + `"}` }

// unwrapInput is the way back. What is no such object is the input itself.
func unwrapInput(arguments lit) lit {
	v := gjson.Get(object(arguments), "input")
	if v.Type != gjson.String {
		return arguments
	}
	return litOf(v)
}
