package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// A listedModel is a model as the URL for all providers lists it.
type listedModel struct {
	id    string
	owner string
	since time.Time // zero is unknown
}

// routeOwner is whom the models of our own naming belong to.
const routeOwner = "gatehouse"

// listModels answers with the models that are known here for the token, or with
// one of them. No provider is asked.
func (x *exchange) listModels(s *routing.Snapshot, path string) {
	models := x.g.modelsFor(x.token, s)
	form := openAIModels
	if x.client.Name == string(routing.Anthropic) {
		form = anthropicModels
	}
	id, one := strings.CutPrefix(path, modelsPrefix)
	if !one {
		x.answerJSON(form.list(models))
		return
	}
	id, _ = url.PathUnescape(id) // the path is well formed
	i := slices.IndexFunc(models, func(m listedModel) bool { return m.id == id })
	if i < 0 {
		x.refuse(noModel)
		return
	}
	x.rec.Model = printable(id)
	x.answerJSON(form.model(nil, models[i]))
}

func (x *exchange) answerJSON(body []byte) {
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.rec.Status, x.wrote = http.StatusOK, true
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return
	}
	n, _ := x.w.Write(body) // a client that has left is no one's loss
	x.rec.ResponseBytes = int64(n)
}

// modelsFor returns the models that are known without asking a provider, and that
// the token may use, in order: the routes, the models that they lead to, those that
// providers are limited to, and those that the token's own list names with their
// provider.
func (g *Gateway) modelsFor(t *routing.Token, s *routing.Snapshot) []listedModel {
	found := map[string]listedModel{}
	direct := func(p *routing.Provider, model string) {
		if p == nil {
			return
		}
		if id := p.Name + "/" + model; g.usableBy(t, p, id, model) {
			found[id] = listedModel{id: id, owner: p.Name}
		}
	}
	for r := range s.Routes() {
		for _, target := range r.Targets {
			p := s.ProviderByID(target.ProviderID)
			if r.Enabled && g.usableBy(t, p, r.Name, target.Model) {
				found[r.Name] = listedModel{id: r.Name, owner: routeOwner, since: r.CreatedAt}
			}
			direct(p, target.Model)
		}
	}
	for p := range s.Providers() {
		for _, model := range p.Models {
			if !strings.HasSuffix(model, "*") {
				direct(p, model)
			}
		}
	}
	for _, named := range t.Models {
		if provider, model, ok := strings.Cut(named, "/"); ok && model != "" && !strings.HasSuffix(model, "*") {
			direct(s.Provider(provider), model)
		}
	}
	models := make([]listedModel, 0, len(found))
	for _, m := range found {
		models = append(models, m)
	}
	slices.SortFunc(models, func(a, b listedModel) int { return strings.Compare(a.id, b.id) })
	return models
}

// A modelsForm is how an API writes a list of models.
type modelsForm struct {
	model func(dst []byte, m listedModel) []byte
	// before and after are what goes around the models of a list.
	before string
	after  func(models []listedModel) []byte
}

func (f *modelsForm) list(models []listedModel) []byte {
	out := []byte(f.before)
	for i, m := range models {
		if i > 0 {
			out = append(out, ',')
		}
		out = f.model(out, m)
	}
	return append(out, f.after(models)...)
}

var openAIModels = &modelsForm{
	model: func(dst []byte, m listedModel) []byte {
		dst = append(dst, `{"id":`...)
		dst = upstream.AppendString(dst, m.id)
		dst = append(dst, `,"object":"model","created":`...)
		dst = strconv.AppendInt(dst, max(0, m.since.Unix()), 10)
		dst = append(dst, `,"owned_by":`...)
		return append(upstream.AppendString(dst, m.owner), '}')
	},
	before: `{"object":"list","data":[`,
	after:  func([]listedModel) []byte { return []byte(`]}`) },
}

var anthropicModels = &modelsForm{
	model: func(dst []byte, m listedModel) []byte {
		since := m.since
		if since.IsZero() {
			since = time.Unix(0, 0) // what Anthropic says where it does not know
		}
		dst = append(dst, `{"type":"model","id":`...)
		dst = upstream.AppendString(dst, m.id)
		dst = append(dst, `,"display_name":`...)
		dst = upstream.AppendString(dst, m.id)
		dst = append(dst, `,"created_at":"`...)
		return append(since.UTC().AppendFormat(dst, time.RFC3339), `"}`...)
	},
	before: `{"data":[`,
	after: func(models []listedModel) []byte {
		first, last := []byte("null"), []byte("null")
		if n := len(models); n > 0 {
			first, last = upstream.AppendString(nil, models[0].id), upstream.AppendString(nil, models[n-1].id)
		}
		return slices.Concat([]byte(`],"has_more":false,"first_id":`), first, []byte(`,"last_id":`), last, []byte(`}`))
	},
}
