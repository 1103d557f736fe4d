package gateway

import (
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gatehousehq/gatehouse/internal/nesting"
	"github.com/gatehousehq/gatehouse/internal/token"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// A modelList is why a request must name a model that can be checked: its
// refusals say whose list that is.
type modelList struct{ unknowable, denied, unreadable, tooLarge *refusal }

var (
	tokenModels    = &modelList{modelUnknowable, modelDenied, bodyUnreadable, bodyTooLarge}
	providerModels = &modelList{modelNotSaid, modelNotServed, bodyNotPlain, bodyNotChecked}
)

// modelList returns what limits the models of the request; nil if nothing does.
func (x *exchange) modelList() *modelList {
	switch {
	case x.token.Models != nil:
		return tokenModels
	case x.provider.Models != nil:
		return providerModels
	}
	return nil
}

// admitModel decides on a model by both lists.
func (x *exchange) admitModel(model string) *refusal {
	switch {
	case x.token.Models != nil && !listed(x.token.Models, model):
		return modelDenied
	case !servesModel(x.provider, model):
		return modelNotServed
	}
	return nil
}

// admitPathModel decides on the model where that needs no body, and refuses
// what a list of models rules out whatever the body.
func (x *exchange) admitPathModel() *refusal {
	e := x.endpoint
	list := x.modelList()
	switch {
	case e != nil && e.Socket:
		return x.admitSocket()
	case e == nil || !e.BodyModel && !e.PathModel():
		if list != nil {
			return list.unknowable
		}
		return nil
	case e.PathModel():
		model, err := url.PathUnescape(e.ModelIn(x.path))
		if err != nil {
			return badPath // not reached: the path is well formed
		}
		x.rec.Model = printable(model)
		return x.admitModel(model)
	case list != nil && !plainJSON(x.r.Header["Content-Encoding"], x.r.Header["Content-Type"]):
		return list.unreadable
	}
	return nil
}

// admitBodyModel decides on the model that the body names.
func (x *exchange) admitBodyModel() *refusal {
	if x.endpoint == nil || !x.endpoint.BodyModel {
		return nil
	}
	list := x.modelList()
	switch {
	case list == nil:
		if len(x.r.Header["Content-Encoding"]) == 0 {
			x.rec.Model = printable(firstModel(x.body.held))
		}
		return nil
	case !x.body.replayable:
		return list.tooLarge
	}
	model, ok := soleModel(x.body.held)
	if !ok {
		return list.unreadable
	}
	x.rec.Model = printable(model)
	return x.admitModel(model)
}

// limitsOf returns the model whose limits hold for a request to an endpoint; "" if
// it is not known, or the upstream does not limit models by themselves. To look at
// a model is not to use it. The model is printable.
func limitsOf(d *upstream.Dialect, e *upstream.Endpoint, model string) string {
	if !d.LimitsByModel || e == nil || e.Method == http.MethodGet {
		return ""
	}
	return model
}

// limitsOf is that of the request with its provider. The model of the record has
// been looked at: every request asks for it twice.
func (x *exchange) limitsOf() string {
	if x.journey.model != "" {
		return limitsOf(x.dialect, x.endpoint, printable(x.journey.model))
	}
	return limitsOf(x.dialect, x.endpoint, x.rec.Model)
}

// limitedModel is limitsOf for a request that ran into a limit: it names the model
// only if the upstream must have read the same. Else one client could have a key
// left out for what others ask for. The model of a target was put there by us.
func (x *exchange) limitedModel() string {
	model := x.limitsOf()
	if model == "" || x.journey.model != "" || !x.endpoint.BodyModel {
		return model
	}
	if !x.body.replayable || !plainJSON(x.r.Header["Content-Encoding"], x.r.Header["Content-Type"]) {
		return ""
	}
	if sole, ok := soleModel(x.body.held); !ok || sole != model {
		return ""
	}
	return model
}

// firstModel returns the model that a body names, as far as can be told by
// looking no further than the first mention. It is for the log.
func firstModel(body []byte) string {
	if r := gjson.GetBytes(body, "model"); r.Type == gjson.String {
		return r.Str
	}
	return ""
}

// soleModel returns the model that every reader of the body must find in it.
func soleModel(body []byte) (string, bool) { return soleString(body, "model") }

// soleString returns the string that every reader of the body must find in it by
// that name. It reports false if there is none, or if readers could differ: over a
// body that is not quite JSON, a key that comes twice, or one that only some take
// for the name.
func soleString(body []byte, name string) (string, bool) {
	s, _, ok := findString(body, name)
	return s, ok
}

// A span is where a value stands in a body.
type span struct{ from, to int }

// findString is soleString, and says where the value stands.
func findString(body []byte, name string) (string, span, bool) {
	var sole gjson.Result
	found, clear := 0, true
	valid := nesting.Members(body, func(key, value nesting.Span) {
		written := body[key.From:key.To]
		if !strings.EqualFold(gjson.ParseBytes(written).Str, name) {
			return
		}
		found++
		clear = clear && string(written) == `"`+name+`"` && body[value.From] == '"'
		sole = gjson.ParseBytes(body[value.From:value.To])
		sole.Index = value.From
	})
	if !valid || found != 1 || !clear {
		return "", span{}, false
	}
	s, ok := plainString(sole)
	return s, span{sole.Index, sole.Index + len(sole.Raw)}, ok
}

// plainString returns a string that is the same to every reader: half a surrogate
// pair, or bytes that are not UTF-8, decode to different things in different
// languages.
func plainString(v gjson.Result) (string, bool) {
	var s string
	if json.Unmarshal([]byte(v.Raw), &s) != nil || s != v.Str || strings.ContainsRune(s, '\uFFFD') {
		return "", false
	}
	return s, true
}

// plainJSON reports whether the headers leave no doubt that a body is JSON in
// UTF-8, as it stands.
func plainJSON(encodings, types []string) bool {
	if len(encodings) > 0 || len(types) > 1 {
		return false
	}
	if len(types) == 0 {
		return true
	}
	media, params, err := mime.ParseMediaType(types[0])
	charset := params["charset"]
	return err == nil && media == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// listed reports whether a list has the name of a model, or a path: exactly, or
// by what comes before a "*" at the end.
func listed(list []string, name string) bool {
	for _, s := range list {
		if prefix, wild := strings.CutSuffix(s, "*"); wild && strings.HasPrefix(name, prefix) || s == name {
			return true
		}
	}
	return false
}

// maxModel is the longest name of a model that is written down.
const maxModel = 128

// printable returns the name if it is fit for logs and records, else nothing:
// anything can stand where a model is expected, a token too.
func printable(model string) string {
	if len(model) > maxModel || strings.Contains(model, token.Prefix) {
		return ""
	}
	for i := range len(model) {
		if model[i] < ' ' || model[i] > '~' {
			return ""
		}
	}
	return model
}
