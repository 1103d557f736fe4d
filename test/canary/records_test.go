package canary_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// get sends a request of the owner's, and puts the answer into a sink of its own.
func (h *house) get(where, path string) answer {
	req, err := http.NewRequestWithContext(h.faults.client(h.t.Context()), http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Error(err)
		return answer{}
	}
	req.Header.Set("Authorization", "Bearer "+h.owner)
	return h.send(where, req)
}

// readRecords looks at what is on record of requests to the gateway.
func (h *house) readRecords() (found bool) {
	h.get("records/list", "/api/v1/interceptions?limit=500&status=error")
	h.get("records/list", "/api/v1/interceptions?client="+url.QueryEscape(h.vault.one("key in the wrong place")))
	a := h.get("records/list", "/api/v1/interceptions?limit=500")
	for _, by := range []string{"provider", "model", "token", "owner", "client", "hour", "day"} {
		h.get("records/usage", "/api/v1/usage?group_by="+by)
	}
	_, rest, found := strings.Cut(string(a.body), `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	h.get("records/one", "/api/v1/interceptions/"+id)
	return found
}

// recorded waits until there is a record to read.
func (h *house) recorded() {
	h.t.Helper()
	h.eventually("a request is on record", h.readRecords)
}

// followRequests sends a request while somebody follows.
func (h *house) followRequests() {
	ctx, cancel := context.WithTimeout(h.faults.client(h.t.Context()), 5*time.Second) // with a fault, nothing may come
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/api/v1/events", nil)
	if err != nil {
		h.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+h.owner)
	res, err := h.http.Do(req)
	if err != nil {
		return // a client's error is not Gatehouse's
	}
	defer func() { _ = res.Body.Close() }()      // it was cut off
	head, _ := httputil.DumpResponse(res, false) // without its body it cannot fail
	text := string(head)
	lines := bufio.NewReader(res.Body)
	for asked := false; !strings.Contains(text, "data:"); {
		line, err := lines.ReadString('\n')
		text += line
		if err != nil {
			break
		}
		if !asked && strings.Contains(line, "connected") {
			asked = true
			h.ask("openai", "/v1/chat/completions", h.token, false, nil)
		}
	}
	h.tape.write("events", []byte(text))
}
