package translate

import (
	"encoding/base64"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

// A request is what all three APIs can say, in the order of a conversation.
type request struct {
	from, to API
	o        Options

	turns     []turn
	tools     []tool
	names     names
	choice    choice
	parallel  string // false or true, as written; or empty
	maxTokens string // numbers are kept as they were written; or empty
	// temperature and such are numbers, too.
	temperature, topP, topK string
	stop                    []lit
	stream, usage           bool
	format                  format
	effort                  string
	thinking                thinking
	// cache is Messages' cache_control of the whole request.
	cache string
	// summary is set if the client wants to see a summary of the reasoning, sealed
	// if it takes reasoning that is to be sent back.
	summary, sealed bool
}

type role uint8

const (
	user role = iota
	assistant
	system
)

// A turn is what one side says.
type turn struct {
	role  role
	parts []part
}

type kind uint8

const (
	text kind = iota
	image
	file
	thought  // of the model, with a signature to send back
	redacted // such a thought that nobody can read
	toolUse
	toolResult
	refusal
)

// A part is a piece of a turn.
type part struct {
	kind kind
	// text is that of a text, a thought or a refusal, and the data of a redacted one.
	text      lit
	signature lit // of a thought that a vendor takes back
	source    source
	// id and name are of a call, and the id of its result. name is that of the tool
	// as the upstream knows it.
	id, name lit
	// object are the arguments of a call as JSON, arguments the same as text. One
	// of them is set.
	object    string
	arguments lit
	// parts are those of a result, and failed is set if it says what went wrong.
	parts  []part
	failed bool
	// cache is a cache_control as it was written.
	cache string
}

// A source is where an image or a file is: at url, or here.
type source struct {
	url, data, name lit
	mediaType       string
	// plain is set if data is text as it is and not in base64.
	plain bool
}

// A tool is a function that the client runs.
type tool struct {
	name, description lit
	schema            string
	strict            string // false or true; or empty
	cache             string
}

// A choice says which tools are to be called.
type choice struct {
	mode choiceMode
	name lit // of the one tool
}

type choiceMode uint8

const (
	unset choiceMode = iota
	auto
	none
	anyTool
	oneTool
)

// A format is what the text of an answer is to be.
type format struct {
	schema            string // JSON; empty is plain text
	name, description lit
	strict            string
}

// thinking is Messages' member.
type thinking struct {
	kind   string // enabled, adaptive, disabled; or empty
	budget int64
	raw    string // as it was written, which is how Messages gets it
}

// pdf is the one type of file that all APIs have.
const pdf = "application/pdf"

// emptySchema is for tools without parameters.
const emptySchema = `{"type":"object","properties":{}}`

// say adds parts to the turn of the role, or begins it.
func (r *request) say(who role, parts ...part) {
	if n := len(r.turns); n > 0 && r.turns[n-1].role == who {
		r.turns[n-1].parts = append(r.turns[n-1].parts, parts...)
		return
	}
	r.turns = append(r.turns, turn{role: who, parts: parts})
}

// asObject returns the arguments of a call as a JSON object. Text that is none
// (a model can be cut short, or make mistakes) is put into one, under the name
// that Anthropic recommends for it.
func (p *part) asObject() string {
	if p.object != "" {
		return p.object
	}
	return object(p.arguments)
}

func object(arguments lit) string {
	s := strings.TrimSpace(arguments.text())
	if s == "" {
		return "{}"
	}
	if nesting.Valid(s) && s[0] == '{' {
		return s
	}
	return `{"INVALID_JSON":"` + string(escape(s)) + `"}`
}

// asText returns the arguments of a call as text.
func (p *part) asText() lit {
	if p.object != "" {
		return escape(p.object)
	}
	return p.arguments
}

// packedID begins the id of a call that had characters which Messages refuses.
const packedID = "id64_"

// callID returns an id of a call that Messages accepts: letters, digits, _ and -.
// ownID is the way back: some servers read their ids.
func callID(id lit) lit {
	ok := id != "" && !strings.HasPrefix(string(id), packedID)
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
	}
	if ok {
		return id
	}
	return lit(packedID + base64.RawURLEncoding.EncodeToString([]byte(id)))
}

func ownID(id lit) lit {
	packed, ok := strings.CutPrefix(string(id), packedID)
	if !ok {
		return id
	}
	b, err := base64.RawURLEncoding.DecodeString(packed)
	if err != nil || !gjson.Valid(`"`+string(b)+`"`) {
		return id
	}
	return lit(b)
}

// blank reports whether there is nothing but space.
func (l lit) blank() bool {
	for i := 0; i < len(l); i++ {
		switch l[i] {
		case ' ':
		case '\\':
			if i++; l[i] != 'n' && l[i] != 'r' && l[i] != 't' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// newSource reads the URL of an image or a file: one of data holds it itself.
func newSource(url lit, member string) (source, error) {
	if len(url) < 5 || !strings.EqualFold(string(url[:5]), "data:") {
		if url == "" {
			return source{}, invalid(member, "there is no URL")
		}
		return source{url: url}, nil
	}
	head, data, ok := strings.Cut(strings.ReplaceAll(string(url[5:]), `\/`, "/"), ",")
	media, packed := strings.CutSuffix(head, ";base64")
	if !ok || !packed || strings.IndexByte(head, '\\') >= 0 {
		return source{}, invalid(member, "a data URL must be in base64")
	}
	media, _, _ = strings.Cut(media, ";")
	if media == "image/jpg" {
		media = "image/jpeg"
	}
	if !strings.HasPrefix(media, "text/") {
		return source{mediaType: media, data: lit(data)}, nil
	}
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return source{}, invalid(member, "its text is not in base64")
	}
	return source{mediaType: "text/plain", data: escape(strings.ToValidUTF8(string(b), "\uFFFD")), plain: true}, nil
}

// dataURL writes a source that is here as a URL.
func (w *writer) dataURL(s source) {
	w.comma()
	w.b = append(w.b, `"data:`...)
	w.b = appendEscaped(w.b, s.mediaType)
	w.b = append(w.b, `;base64,`...)
	w.b = append(w.b, s.data...)
	w.b = append(w.b, '"')
}

// readParts reads content, which is text or a list of what is named.
func readParts(member, named string, c gjson.Result, read func(gjson.Result) ([]part, error)) ([]part, error) {
	switch {
	case c.Type == gjson.String:
		return []part{{kind: text, text: litOf(c)}}, nil
	case c.Type == gjson.Null: // or missing
		return nil, nil
	case !c.IsArray():
		return nil, invalid(member, "it must be text or a list of "+named)
	}
	var parts []part
	for _, v := range c.Array() {
		p, err := read(v)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p...)
	}
	return parts, nil
}

// joined returns the texts among parts as one.
func joined(parts []part, sep lit) lit {
	var one lit
	n := 0
	for i := range parts {
		if parts[i].kind == text {
			one = parts[i].text
			n++
		}
	}
	if n < 2 {
		return one
	}
	var b strings.Builder
	for i := range parts {
		if parts[i].kind != text {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(string(sep))
		}
		b.WriteString(string(parts[i].text))
	}
	return lit(b.String())
}
