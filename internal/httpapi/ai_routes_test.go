package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatehousehq/gatehouse/client"
)

const aiRoutes = "/api/v1/ai/routes"

// aiRoute adds a route to targets of the form PROVIDER/MODEL.
func (s *server) aiRoute(t *testing.T, name string, targets ...string) client.Route {
	t.Helper()
	req := client.CreateRoute{Name: name}
	for _, target := range targets {
		provider, model, _ := strings.Cut(target, "/")
		req.Targets = append(req.Targets, client.NewTarget{Provider: provider, Model: model})
	}
	b, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	return decode[client.Route](t, s.want(t, http.StatusCreated, "POST", aiRoutes, string(b)))
}

func routeRefusals() []refused {
	var all []refused
	add := func(name string, status int, body string) {
		all = append(all, refused{"add a route: " + name, status, "POST", aiRoutes, body, nil})
	}
	targets := `"targets":[{"provider":"main","model":"m"}]`
	add("no name", 422, `{`+targets+`}`)
	add("no targets", 422, `{"name":"r"}`)
	add("an empty list of targets", 422, `{"name":"r","targets":[]}`)
	add("17 targets", 422, `{"name":"r","targets":[`+strings.Repeat(`{"provider":"main","model":"m"},`, 16)+`{"provider":"main","model":"m"}]}`)
	for _, name := range []string{"a/b", "A", "-a", "a-", "a..b", "a b", "{mark}", "ä", "."} {
		add("name "+name, 422, `{"name":"`+name+`",`+targets+`}`)
	}
	add("name of 64 characters", 422, `{"name":"`+strings.Repeat("a", 64)+`",`+targets+`}`)
	add("name a UUID", 422, `{"name":"{unknown}",`+targets+`}`)
	add("name taken", 409, `{"name":"alias",`+targets+`}`)
	add("strategy unknown", 422, `{"name":"r","strategy":"least_loaded",`+targets+`}`)
	add("description of 129 characters", 422, `{"name":"r","description":"{129}",`+targets+`}`)
	add("a provider that is not there", 422, `{"name":"r","targets":[{"provider":"{mark}","model":"m"}]}`)
	add("a provider that was deleted", 422, `{"name":"r","targets":[{"provider":"{gone}","model":"m"}]}`)
	add("a target twice", 422, `{"name":"r","targets":[{"provider":"main","model":"m"},{"provider":"{id}","model":"m"}]}`)
	add("a target without a model", 422, `{"name":"r","targets":[{"provider":"main"}]}`)
	add("an empty model", 422, `{"name":"r","targets":[{"provider":"main","model":""}]}`)
	add("a model with a space", 422, `{"name":"r","targets":[{"provider":"main","model":"{mark} x"}]}`)
	add("a model of 129 characters", 422, `{"name":"r","targets":[{"provider":"main","model":"`+strings.Repeat("m", 129)+`"}]}`)
	add("weight -1", 422, `{"name":"r","targets":[{"provider":"main","model":"m","weight":-1}]}`)
	add("weight 1001", 422, `{"name":"r","targets":[{"provider":"main","model":"m","weight":1001}]}`)
	add("unknown field", 422, `{"name":"r","{mark}":1,`+targets+`}`)
	add("unknown field of a target", 422, `{"name":"r","targets":[{"provider":"main","model":"m","{mark}":1}]}`)

	patch := func(name string, status int, body string) {
		all = append(all, refused{"change a route: " + name, status, "PATCH", aiRoutes + "/alias", body, nil})
	}
	patch("another name", 422, `{"name":"other"}`)
	patch("targets null", 422, `{"targets":null}`)
	patch("targets empty", 422, `{"targets":[]}`)
	patch("enabled null", 422, `{"enabled":null}`)
	patch("strategy null", 422, `{"strategy":null}`)
	patch("strategy unknown", 422, `{"strategy":"{mark}"}`)
	patch("a provider that is not there", 422, `{"targets":[{"provider":"{unknown}","model":"m"}]}`)
	patch("a weight of 1001", 422, `{"targets":[{"provider":"main","model":"m","weight":1001}]}`)
	all = append(all, ifMatchRefusals("change a route", "PATCH", aiRoutes+"/alias", `{"enabled":false}`)...)
	all = append(all, ifMatchRefusals("delete a route", "DELETE", aiRoutes+"/alias", "")...)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		all = append(all, refused{"a route that is not there: " + method, 404, method, aiRoutes + "/none", map[bool]string{true: "{}"}[method == "PATCH"], nil})
	}
	return all
}

func TestRouteFromCreationToRemoval(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		one, two := s.provider(t, "one", "1"), s.provider(t, "two", "2")
		a := s.want(t, http.StatusCreated, "POST", aiRoutes, fmt.Sprintf(
			`{"name":"claude-4.5:fast_v1","description":"quick","strategy":"weighted","targets":[{"provider":"one","model":"a/b","weight":0},{"provider":"%s","model":"c"}]}`, two.ID))
		made := decode[client.Route](t, a)
		want := client.Route{
			ID: made.ID, Name: "claude-4.5:fast_v1", Description: new("quick"), Enabled: true, Strategy: "weighted", Revision: 1,
			Targets: []client.RouteTarget{
				{Provider: "one", ProviderID: one.ID, Model: "a/b", Weight: 0, State: client.TargetReady},
				{Provider: "two", ProviderID: two.ID, Model: "c", Weight: 1, State: client.TargetReady},
			},
		}
		ignore := cmpopts.IgnoreFields(client.Route{}, "CreatedAt", "UpdatedAt")
		if diff := cmp.Diff(want, made, ignore); diff != "" || a.header.Get("ETag") != `"1"` || a.header.Get("Location") != aiRoutes+"/"+made.ID {
			t.Errorf("made (-want +got):\n%s%v", diff, a.header)
		}
		for _, ref := range []string{made.ID, made.Name} {
			if got := decode[client.Route](t, s.want(t, http.StatusOK, "GET", aiRoutes+"/"+ref, "")); got.ID != made.ID {
				t.Errorf("by %s: %+v", ref, got)
			}
		}

		got := decode[client.Route](t, s.want(t, http.StatusOK, "PATCH", aiRoutes+"/"+made.Name, `{"description":null,"enabled":false}`, header{"If-Match", `"1"`}))
		want.Description, want.Enabled, want.Revision = nil, false, 2
		if diff := cmp.Diff(want, got, ignore); diff != "" {
			t.Errorf("changed (-want +got):\n%s", diff)
		}
		p := refusal(t, s.call(t, "PATCH", aiRoutes+"/"+made.ID, `{"enabled":true}`, header{"If-Match", `"1"`}), http.StatusPreconditionFailed)
		if current, err := json.Marshal(p.Current); err != nil || !strings.Contains(string(current), `"revision":2`) {
			t.Errorf("stale: %s, %v", current, err)
		}
		s.want(t, http.StatusOK, "PATCH", aiRoutes+"/"+made.ID, `{"enabled":false}`) // changes nothing

		// A provider that goes leaves the route, and can be kept in it by its id.
		s.want(t, http.StatusNoContent, "DELETE", providers+"/two", "")
		s.provider(t, "two")
		states := map[string]client.TargetState{one.ID: client.TargetDisabled, two.ID: client.TargetDeleted}
		state := func(id string) client.TargetState { return states[id] }
		s.target.Store(&state)
		got = decode[client.Route](t, s.want(t, http.StatusOK, "PATCH", aiRoutes+"/"+made.ID,
			fmt.Sprintf(`{"targets":[{"provider":"%s","model":"d"},{"provider":"one","model":"a/b","weight":7}]}`, two.ID)))
		if got.Revision != 3 || got.Targets[0] != (client.RouteTarget{Provider: "two", ProviderID: two.ID, Model: "d", Weight: 1, State: client.TargetDeleted}) ||
			got.Targets[1].State != client.TargetDisabled || got.Targets[1].Weight != 7 {
			t.Errorf("with a provider that is gone: %+v", got)
		}
		s.want(t, http.StatusNoContent, "POST", providers+"/"+two.ID+"/purge", "")
		if got := decode[client.Route](t, s.want(t, http.StatusOK, "GET", aiRoutes+"/"+made.ID, "")); got.Targets[0].Provider != "two" || got.Targets[0].State != client.TargetDeleted {
			t.Errorf("with a provider that was purged: %+v", got)
		}

		s.want(t, http.StatusNoContent, "DELETE", aiRoutes+"/"+made.Name, "", header{"If-Match", `"3"`})
		s.want(t, http.StatusNotFound, "DELETE", aiRoutes+"/"+made.ID, "")
		s.aiRoute(t, made.Name, "one/m") // the name can be used again
	})
}

func TestEveryChangeOfARouteLeavesItsEntry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		p := s.provider(t, "one")
		before := len(entries(t, s))
		r := s.aiRoute(t, "fast", "one/m")
		s.want(t, http.StatusOK, "PATCH", aiRoutes+"/fast", `{"targets":[{"provider":"one","model":"n","weight":2}]}`)
		s.want(t, http.StatusOK, "PATCH", aiRoutes+"/fast", `{"targets":[{"provider":"one","model":"n","weight":2}]}`) // changes nothing
		s.want(t, http.StatusNoContent, "DELETE", aiRoutes+"/fast", "")
		var got []string
		for _, e := range entries(t, s)[before:] {
			got = append(got, strings.NewReplacer(p.ID, "P", r.ID, "R").Replace(fmt.Sprintf("%s %s %s %s %s", e.Action, e.ResourceType, e.ResourceID, e.Target, e.Diff)))
		}
		one, two := `[{"provider_id":"P","provider":"one","model":"m","weight":1}]`, `[{"provider_id":"P","provider":"one","model":"n","weight":2}]`
		want := []string{
			`create ai_route R fast {"name":{"new":"fast"},"enabled":{"new":true},"strategy":{"new":"in_order"},"targets":{"new":` + one + `}}`,
			`update ai_route R fast {"targets":{"old":` + one + `,"new":` + two + `}}`,
			`delete ai_route R fast {"name":{"old":"fast"},"enabled":{"old":true},"strategy":{"old":"in_order"},"targets":{"old":` + two + `}}`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
	})
}
