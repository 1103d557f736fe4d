package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/rbac"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

const (
	interceptionsPath = "/api/v1/interceptions"
	usagePath         = "/api/v1/usage"
	eventsPath        = "/api/v1/events"
)

// interception writes a record, of now and complete unless it says otherwise.
func (s *server) interception(t *testing.T, rec store.Interception) store.Interception {
	t.Helper()
	if rec.ID == "" {
		rec.ID = dbgen.ID()
	}
	if rec.At.IsZero() {
		rec.At = s.clock.now()
	}
	if rec.Outcome == "" {
		rec.Outcome = store.Complete
	}
	err := s.Update(t.Context(), authn.Recorder, func(tx store.Tx) error {
		return tx.Interceptions.Record(t.Context(), []store.Interception{rec})
	})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestInterceptionsAreShown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		at := s.clock.now()
		rec := s.interception(t, store.Interception{
			At: at, TokenID: dbgen.ID(), TokenName: "laptop", OwnerID: s.owner.ID, Client: "tool/1", ProviderID: dbgen.ID(), Provider: "vendor", KeyID: dbgen.ID(),
			Model: "m", ActualModel: "m-1", Endpoint: "messages", Path: "messages", Status: 200, Reason: "idle_timeout",
			Attempts:  []store.Attempt{{KeyID: "k", Status: 429, Outcome: "rate_limited", Began: at, Duration: time.Millisecond, BilledTwice: true}},
			FirstByte: 1500 * time.Microsecond, Duration: 2 * time.Second, RequestBytes: 3, ResponseBytes: 4,
			Tokens: store.TokenCounts{Input: 5, Output: 6, CacheRead: 7, CacheWrite: 8, Reasoning: 9, Known: true},
		})
		died := s.interception(t, store.Interception{At: at.Add(-time.Hour), OwnerID: dbgen.ID(), Outcome: store.Unknown})
		want := fmt.Sprintf(`{"id":"%s","time":"2030-01-01T00:00:00Z","token_id":"%s","token":"laptop","owner_id":"%s","owner":"ada","client":"tool/1",
			"provider_id":"%s","provider":"vendor","key_id":"%s","model":"m","actual_model":"m-1","endpoint":"messages","path":"messages","status":200,
			"reason":"idle_timeout","outcome":"complete","attempts":[{"provider_id":"%[4]s","provider":"vendor","key_id":"k","status":429,"outcome":"rate_limited","time":"2030-01-01T00:00:00Z","duration_ms":1,"possibly_billed_twice":true}],
			"first_byte_ms":1.5,"duration_ms":2000,"request_bytes":3,"response_bytes":4,"tokens":{"input":5,"output":6,"cache_read":7,"cache_write":8,"reasoning":9}}`,
			rec.ID, rec.TokenID, s.owner.ID, rec.ProviderID, rec.KeyID)
		unknown := fmt.Sprintf(`{"id":"%s","time":"2029-12-31T23:00:00Z","token_id":"","token":"","owner_id":"%s","owner":"","client":"","provider_id":"","provider":"","key_id":"",
			"model":"","actual_model":"","endpoint":"","path":"","status":0,"reason":"","outcome":"unknown","attempts":[],"first_byte_ms":null,"duration_ms":0,
			"request_bytes":0,"response_bytes":0,"tokens":null}`, died.ID, died.OwnerID)
		sameJSON(t, want, s.want(t, http.StatusOK, "GET", interceptionsPath+"/"+rec.ID, "").body)
		sameJSON(t, `{"items":[`+want+`,`+unknown+`],"next_cursor":null}`, s.want(t, http.StatusOK, "GET", interceptionsPath, "").body)
		sameJSON(t, `{"items":[`+unknown+`],"next_cursor":null}`, s.want(t, http.StatusOK, "GET", interceptionsPath+"?outcome=unknown", "").body)
		refusal(t, s.call(t, "GET", interceptionsPath+"/"+dbgen.ID(), ""), http.StatusNotFound)
		refusal(t, s.call(t, "GET", interceptionsPath+"/x", ""), http.StatusNotFound)
	})
}

func sameJSON(t *testing.T, want string, got []byte) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestInterceptionsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		var ids []string
		for i := range 7 {
			rec := s.interception(t, store.Interception{
				At: s.clock.now().Add(time.Duration(i/3) * time.Minute), OwnerID: s.owner.ID, Status: []int{200, 404, 429, 500, 502, 499, 200}[i],
				Provider: fmt.Sprint("p", i%2), Model: fmt.Sprint("m", i%3), Client: fmt.Sprintf("tool/%d", i), TokenName: "ci", KeyID: dbgen.ID(),
			})
			ids = append([]string{rec.ID}, ids...)
		}
		for _, limit := range []int{1, 3, 7, 500} {
			var got []string
			query := ""
			for {
				p := decode[page](t, s.want(t, http.StatusOK, "GET", fmt.Sprintf("%s?limit=%d%s", interceptionsPath, limit, query), ""))
				for _, i := range p.Items {
					got = append(got, i.ID)
				}
				if p.NextCursor == nil {
					break
				}
				query = "&cursor=" + *p.NextCursor
			}
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("by %d (-want +got):\n%s", limit, diff)
			}
		}
		for query, want := range map[string]int{
			"status=429": 1, "status=4xx": 3, "status=5xx": 2, "status=error": 5, "status=2xx": 2, "provider=p0": 4, "model=m1": 2, "client=tool": 7,
			"client=tool/3": 1, "token=ci": 7, "owner=ada": 7, "owner=" + s.owner.ID: 7, "owner=bob": 0, "key=" + dbgen.ID(): 0, "since=2030-01-01T00:01:00Z": 4,
			"until=2030-01-01T00:01:00Z": 3, "since=2030-01-01T00:01:00Z&until=2030-01-01T00:02:00Z": 3, "provider=p0&status=error": 2, "outcome=complete": 7, "outcome=unknown": 0,
		} {
			if p := decode[page](t, s.want(t, http.StatusOK, "GET", interceptionsPath+"?"+query, "")); len(p.Items) != want {
				t.Errorf("%s: %d, want %d", query, len(p.Items), want)
			}
		}
	})
}

// A member sees what they did, by whichever of their tokens, and nothing of others.
func TestMembersSeeTheirOwnRequests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ann := dbgen.User(t, s.DB, store.User{Name: "ann", Roles: store.SetOf(string(rbac.Member))})
		eve := dbgen.User(t, s.DB, store.User{Name: "eve", Roles: store.SetOf(string(rbac.Auditor), string(rbac.Member))}) // who can make tokens
		hers := s.interception(t, store.Interception{OwnerID: ann.ID, Provider: "vendor", Status: 200})
		his := s.interception(t, store.Interception{OwnerID: s.owner.ID, Provider: "secret", Status: 500})
		member := s.with(t, ann, store.APIKey{Scopes: store.SetOf("all")})
		if got := member.want(t, http.StatusOK, "GET", interceptionsPath, "").text(); !strings.Contains(got, hers.ID) || strings.Contains(got, his.ID) {
			t.Errorf("a member sees %s", got)
		}
		member.want(t, http.StatusOK, "GET", interceptionsPath+"/"+hers.ID, "")
		refusal(t, member.call(t, "GET", interceptionsPath+"/"+his.ID, ""), http.StatusNotFound)
		for query, want := range map[string]int{"": 1, "?owner=ada": 0, "?owner=" + s.owner.ID: 0, "?provider=secret": 0, "?owner=ann": 1} {
			if p := decode[page](t, member.want(t, http.StatusOK, "GET", interceptionsPath+query, "")); len(p.Items) != want {
				t.Errorf("%s: %d, want %d", query, len(p.Items), want)
			}
		}
		for _, by := range []string{"hour", "day", "provider", "model", "token", "owner", "client"} {
			a := member.want(t, http.StatusOK, "GET", usagePath+"?group_by="+by, "")
			if u := decode[client.Usage](t, a); u.Total.Requests != 1 || u.Total.Errors != 0 || len(u.Items) != 1 || strings.Contains(a.text(), "secret") {
				t.Errorf("by %s a member sees %s", by, a.body)
			}
			if u := decode[client.Usage](t, member.want(t, http.StatusOK, "GET", usagePath+"?owner=ada&group_by="+by, "")); u.Total.Requests != 0 || len(u.Items) != 0 {
				t.Errorf("by %s a member sees another's: %+v", by, u)
			}
		}
		auditor := s.with(t, eve, store.APIKey{Scopes: store.SetOf("interception:read")})
		if p := decode[page](t, auditor.want(t, http.StatusOK, "GET", interceptionsPath, "")); len(p.Items) != 2 {
			t.Errorf("an auditor sees %d", len(p.Items))
		}
		// A token for the gateway alone reads nothing, its owner's own requests neither.
		tool := s.with(t, ann, store.APIKey{Scopes: store.SetOf("gateway:use")})
		for _, path := range []string{interceptionsPath, interceptionsPath + "/" + hers.ID, usagePath, eventsPath} {
			refusal(t, tool.call(t, "GET", path, ""), http.StatusForbidden)
		}
	})
}

func TestUsageIsSummedUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.clock.set(time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC))
		for i := range 6 {
			s.interception(t, store.Interception{
				At: s.clock.now().Add(-time.Duration(i) * 10 * 24 * time.Hour), OwnerID: s.owner.ID, Provider: fmt.Sprint("p", i%3), Status: 200 + 300*(i%2),
				Duration: time.Second, FirstByte: time.Millisecond, Attempts: make([]store.Attempt, 2),
				Tokens: store.TokenCounts{Input: 10, Output: 1, Known: i > 0},
			})
		}
		get := func(query string) client.Usage {
			t.Helper()
			return decode[client.Usage](t, s.want(t, http.StatusOK, "GET", usagePath+query, ""))
		}
		u := get("") // the last thirty days, by provider
		if u.GroupBy != "provider" || !u.Since.Equal(s.clock.now().AddDate(0, 0, -30)) || u.Until != nil || u.Truncated || len(u.Items) != 3 {
			t.Errorf("got %+v", u)
		}
		want := client.UsageSums{Requests: 4, Errors: 2, Attempts: 8, Metered: 3, Tokens: client.TokenUsage{Input: 40, Output: 4}, DurationMS: 4000, FirstByteMS: 4, Answered: 4}
		if diff := cmp.Diff(want, u.Total); diff != "" {
			t.Errorf("the total (-want +got):\n%s", diff)
		}
		if first := u.Items[0]; first.Group != "p0" || first.Requests != 2 || first.Start != nil {
			t.Errorf("the first is %+v", first)
		}
		u = get("?since=2029-01-01T00:00:00Z&until=2030-02-20T00:00:00Z&group_by=day&limit=2")
		if u.Total.Requests != 5 || len(u.Items) != 2 || !u.Truncated || u.Until == nil || !u.Items[0].Start.Equal(time.Date(2030, 2, 19, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("got %+v", u)
		}
		if u = get("?group_by=owner"); len(u.Items) != 1 || u.Items[0].Group != s.owner.ID || u.Items[0].Name != "ada" {
			t.Errorf("got %+v", u)
		}
		if u = get("?provider=p1&status=error&group_by=hour"); u.Total.Requests != 1 || len(u.Items) != 1 {
			t.Errorf("got %+v", u)
		}
		if u = get("?provider=none"); u.Total.Requests != 0 || u.Items == nil {
			t.Errorf("got %+v", u)
		}
	})
}
