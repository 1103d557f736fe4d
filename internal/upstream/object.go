package upstream

import (
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
)

// An Object is a body that is a JSON object, taken apart as far as its members.
type Object struct {
	Text    []byte // the body
	Members []Member
	// Model is the member "model", Stream whether "stream" is true.
	Model  string
	Stream bool
}

// A Member is one member of an [Object].
type Member struct {
	Name string
	// Raw is the member as it was written, without the space around its colon.
	Raw string
	// From and To are where its value stands in the body.
	From, To int
}

// What is wrong with a body that has to be taken apart.
var (
	errNotObject = &RequestError{Status: http.StatusBadRequest, Message: "The body must be a JSON object with each member once."}
	errNoModel   = &RequestError{Status: http.StatusBadRequest, Message: "model is required, and a string."}
	errDotModel  = &RequestError{Status: http.StatusBadRequest, Message: "model is not the name of a model."}
)

// ParseObject takes a body apart that must name a model. One that has a member
// twice is refused: which of the two counts would be a guess. Errors are of type
// [*RequestError].
func ParseObject(body []byte) (Object, error) {
	o := Object{Text: body}
	root := gjson.ParseBytes(body)
	if !nesting.Valid(body) || !root.IsObject() {
		return o, errNotObject
	}
	seen := map[string]bool{}
	twice := false
	root.ForEach(func(name, value gjson.Result) bool {
		twice = twice || seen[name.Str]
		seen[name.Str] = true
		o.Members = append(o.Members, Member{Name: name.Str, Raw: name.Raw + ":" + value.Raw, From: value.Index, To: value.Index + len(value.Raw)})
		switch name.Str {
		case "model":
			o.Model = value.Str
		case "stream":
			o.Stream = value.Bool()
		}
		return true
	})
	switch {
	case twice:
		return o, errNotObject
	case o.Model == "":
		return o, errNoModel
	case o.Model == "." || o.Model == "..": // in a path it would be another path
		return o, errDotModel
	}
	return o, nil
}

// WithModel returns the body with another model, and all else as it was.
func (o Object) WithModel(name string) []byte {
	for _, m := range o.Members {
		if m.Name == "model" {
			out := append(make([]byte, 0, len(o.Text)+len(name)), o.Text[:m.From]...)
			out = AppendString(out, name)
			return append(out, o.Text[m.To:]...)
		}
	}
	return o.Text
}
