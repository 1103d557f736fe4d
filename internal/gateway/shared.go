package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/upstream"
)

// serveShared serves a request under the one URL for all providers: its model says
// where it goes.
func (x *exchange) serveShared(s *routing.Snapshot, path string) {
	if bad := x.admitShared(path); bad != nil {
		x.refuse(bad)
		return
	}
	if bad, wait := x.admitToken(); bad != nil {
		x.answer(bad, bad.message, wait)
		return
	}
	if x.endpoint == nil {
		x.listModels(s, path)
		return
	}
	switch bad := x.receiveShared(); bad {
	case nil:
	case noBodyMemory:
		x.answer(bad, bad.message, time.Second)
		return
	default:
		x.refuse(bad)
		return
	}
	targets, bad := x.resolve(s)
	if bad != nil {
		x.refuse(bad)
		return
	}
	x.travel(targets)
}

// admitShared decides what needs no body. The path says what the client speaks. A
// list of models has no endpoint.
func (x *exchange) admitShared(path string) *refusal {
	if bad := x.admitForm(); bad != nil {
		return bad
	}
	x.path = path
	for _, d := range x.g.dialects {
		if e := d.Endpoint(x.r.Method, path); e != nil && e.BodyModel {
			x.client, x.endpoint = d, e
			x.rec.Endpoint, x.rec.Path = e.Name, path
			if !plainJSON(x.r.Header["Content-Encoding"], x.r.Header["Content-Type"]) {
				return sharedUnreadable
			}
			return nil
		}
	}
	if name := modelsEndpoint(x.r.Method, path); name != "" {
		x.rec.Endpoint, x.rec.Path = name, name
		return nil
	}
	return noSharedPath
}

// receiveShared takes in the body, and with it the model. The body is held: the
// model in it is to be changed, and it may go to several targets.
func (x *exchange) receiveShared() *refusal {
	if bad := x.hold(); bad != nil {
		return bad
	}
	switch {
	case x.body.replayable:
	case x.body.large:
		return sharedTooLarge
	default:
		return noBodyMemory
	}
	var ok bool
	if x.journey.asked, x.journey.at, ok = findString(x.body.held, "model"); !ok {
		return sharedUnreadable
	}
	x.rec.Model = printable(x.journey.asked)
	return nil
}

// setModel puts another model into the body that is held, in the place of the one
// there. All else of it stays as it came.
func (x *exchange) setModel(model string) *refusal {
	at := x.journey.at
	raw := upstream.AppendString(make([]byte, 0, len(model)+2), model)
	old := x.body.held
	if string(old[at.from:at.to]) == string(raw) {
		return nil
	}
	grown := len(raw) - (at.to - at.from)
	if grown > 0 && !x.reserve(int64(grown)) {
		return noBodyMemory
	}
	next := newBuffer(len(old) + grown)
	n := copy(next.b, old[:at.from])
	n += copy(next.b[n:], raw)
	copy(next.b[n:], old[at.to:])
	x.keep(next) // a transport may still read the one that was
	x.journey.at.to = at.from + len(raw)
	return nil
}

// modelsEndpoint returns the name of the endpoint that the path is, if it is a
// list of models or one of them, and else "".
func modelsEndpoint(method, path string) string {
	switch {
	case method != http.MethodGet:
	case path == "models":
		return "models"
	case strings.HasPrefix(path, modelsPrefix) && path != modelsPrefix:
		return "models/{id}"
	}
	return ""
}

const modelsPrefix = "models/"
