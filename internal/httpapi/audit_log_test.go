package httpapi_test

import (
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/internal/auditlog"
	"github.com/gatehousehq/gatehouse/internal/authn"
	"github.com/gatehousehq/gatehouse/internal/store"
	"github.com/gatehousehq/gatehouse/internal/store/dbgen"
)

// checkpointed returns a checkpoint of the log as the API signs it.
func checkpointed(t *testing.T, s *server) auditlog.Checkpoint {
	t.Helper()
	p := decode[client.AuditCheckpoint](t, s.want(t, http.StatusOK, "GET", auditPath+"/checkpoint", ""))
	c, err := auditlog.OpenCheckpoint(p.Checkpoint, p.Key)
	if err != nil || c.Size != p.Size || c.Origin != auditlog.Origin(s.Backend.Installation()) {
		t.Fatalf("checkpoint %+v, %v", p, err)
	}
	return c
}

func TestExportVerifiesByItself(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1", "2")
		s.want(t, http.StatusNoContent, "DELETE", providers+"/main", "")
		kept := []auditlog.Checkpoint{checkpointed(t, s)}
		s.provider(t, "later", "3")
		export := s.want(t, http.StatusOK, "GET", auditPath+"/export", "").text()
		r, err := auditlog.VerifyExport(strings.NewReader(export), kept)
		if err != nil || r.Found != 0 || r.Covered != kept[0].Size || r.Size != int64(len(s.Audit(t))) {
			t.Errorf("report %+v, %v", r, err)
		}
		for name, forged := range map[string]string{
			"a word":            strings.Replace(export, `"target":"main"`, `"target":"mine"`, 1),
			"a line left out":   strings.Join(slices.Delete(strings.SplitAfter(export, "\n"), 2, 3), ""),
			"the end cut off":   export[:strings.LastIndex(strings.TrimSpace(export), "\n")+1],
			"a line twice":      strings.Replace(export, strings.SplitAfter(export, "\n")[1], strings.Repeat(strings.SplitAfter(export, "\n")[1], 2), 1),
			"two lines swapped": swapped(export),
		} {
			if r, err := auditlog.VerifyExport(strings.NewReader(forged), kept); err == nil && r.Found == 0 {
				t.Errorf("%s: nothing is found", name)
			}
		}
		filtered := s.want(t, http.StatusOK, "GET", auditPath+"/export?action=delete", "").text()
		if _, err := auditlog.VerifyExport(strings.NewReader(filtered), kept); err == nil || !strings.Contains(err.Error(), "filter") {
			t.Errorf("a filtered export: %v", err)
		}
		if n := strings.Count(filtered, "\n"); n != 1+3 { // two keys and the provider
			t.Errorf("the filtered export has %d lines", n)
		}
	})
}

func swapped(export string) string {
	lines := strings.SplitAfter(export, "\n")
	lines[1], lines[2] = lines[2], lines[1]
	return strings.Join(lines, "")
}

func TestExportAfterRetention(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "old", "1")
		s.clock.set(s.clock.now().Add(48 * time.Hour))
		s.provider(t, "new", "2")
		err := s.Update(t.Context(), authn.Archivist, func(tx store.Tx) error {
			_, _, err := tx.Audit.Prune(t.Context(), s.clock.now().Add(-time.Hour), 1000)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		kept := []auditlog.Checkpoint{checkpointed(t, s)}
		export := s.want(t, http.StatusOK, "GET", auditPath+"/export", "").text()
		r, err := auditlog.VerifyExport(strings.NewReader(export), kept)
		if err != nil || r.Found != 0 || r.Covered != kept[0].Size || r.Removed == 0 || strings.Contains(export, `"old"`) {
			t.Errorf("report %+v, %v", r, err)
		}
		// The proof of an entry that is gone still leads to the root.
		p := decode[client.AuditProof](t, s.want(t, http.StatusOK, "GET", auditPath+"/proof/1", ""))
		if p.Record != nil || len(p.Hashes) == 0 {
			t.Errorf("proof %+v", p)
		}
	})
}

func TestProofLeadsToTheCheckpoint(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1", "2")
		size := int64(len(s.Audit(t)))
		for i := int64(1); i <= size; i++ {
			p := decode[client.AuditProof](t, s.want(t, http.StatusOK, "GET", fmt.Sprint(auditPath, "/proof/", i), ""))
			c, err := auditlog.OpenCheckpoint(p.Checkpoint.Checkpoint, p.Checkpoint.Key)
			if err != nil {
				t.Fatal(err)
			}
			var hashes tlog.RecordProof
			for _, h := range p.Hashes {
				raw, err := base64.StdEncoding.DecodeString(h)
				if err != nil || len(raw) != tlog.HashSize {
					t.Fatalf("hash %q, %v", h, err)
				}
				hashes = append(hashes, tlog.Hash(raw))
			}
			if err := auditlog.CheckEntry(c, i, []byte(*p.Record), hashes); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
			if err := auditlog.CheckEntry(c, i, []byte(*p.Record+" "), hashes); err == nil {
				t.Errorf("entry %d: another record is proved, too", i)
			}
		}
		for _, none := range []string{fmt.Sprint(size + 1), "9223372036854775807"} {
			s.want(t, http.StatusNotFound, "GET", auditPath+"/proof/"+none, "")
		}
		s.want(t, http.StatusUnprocessableEntity, "GET", auditPath+"/proof/0", "")
	})
}

// TestFiltersSelect compares each filter with what the same condition selects of
// the whole list.
func TestFiltersSelect(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1", "2")
		s.clock.set(s.clock.now().Add(time.Hour))
		split := s.clock.now()
		p := s.provider(t, "mainly", "3")
		s.want(t, http.StatusNoContent, "DELETE", providers+"/main", "")
		all := decode[client.Page[client.AuditEntry]](t, s.want(t, http.StatusOK, "GET", auditPath+"?limit=500", "")).Items
		request := all[0].RequestID
		for query, match := range map[string]func(client.AuditEntry) bool{
			"resource=ai_provider":                func(e client.AuditEntry) bool { return e.ResourceType == "ai_provider" },
			"action=delete":                       func(e client.AuditEntry) bool { return e.Action == "delete" },
			"action=delete&resource=ai_provider":  func(e client.AuditEntry) bool { return e.Action == "delete" && e.ResourceType == "ai_provider" },
			"actor=ada":                           func(e client.AuditEntry) bool { return e.Actor.Name == "ada" },
			"actor=" + s.owner.ID:                 func(e client.AuditEntry) bool { return e.Actor.ID == s.owner.ID },
			"actor=bootstrap&resource=user":       func(e client.AuditEntry) bool { return e.Actor.Name == "bootstrap" && e.ResourceType == "user" },
			"since=" + split.Format(time.RFC3339): func(e client.AuditEntry) bool { return !e.Time.Before(split) },
			"until=" + split.Format(time.RFC3339): func(e client.AuditEntry) bool { return e.Time.Before(split) },
			"q=mainl":                             begins("mainl"),
			"q=ad":                                begins("ad"), // ada's own, and whatever has an id like that
			"q=" + p.ID:                           func(e client.AuditEntry) bool { return e.Target == p.ID || e.ResourceID == p.ID },
			"q=" + request + "&action=delete":     func(e client.AuditEntry) bool { return e.RequestID == request && e.Action == "delete" },
			"q=%25":                               func(client.AuditEntry) bool { return false },
			"q=nobody":                            func(client.AuditEntry) bool { return false },
			"actor=nobody":                        func(client.AuditEntry) bool { return false },
			"action=drop%20table":                 func(client.AuditEntry) bool { return false },
		} {
			want := slices.DeleteFunc(slices.Clone(all), func(e client.AuditEntry) bool { return !match(e) })
			got := decode[client.Page[client.AuditEntry]](t, s.want(t, http.StatusOK, "GET", auditPath+"?limit=500&"+query, "")).Items
			if !slices.EqualFunc(got, want, func(a, b client.AuditEntry) bool { return a.Index == b.Index }) {
				t.Errorf("%s: %d entries, want %d", query, len(got), len(want))
			}
			// The same by one a page, and in an export.
			n := 0
			for cursor := ""; ; n++ {
				page := decode[client.Page[client.AuditEntry]](t, s.want(t, http.StatusOK, "GET", auditPath+"?limit=1&"+query+cursor, ""))
				if len(page.Items) == 0 {
					break
				}
				if page.NextCursor == nil {
					n++
					break
				}
				cursor = "&cursor=" + *page.NextCursor
			}
			if n != len(want) {
				t.Errorf("%s: %d pages of one, want %d", query, n, len(want))
			}
			if lines := strings.Count(s.want(t, http.StatusOK, "GET", auditPath+"/export?"+query, "").text(), "\n"); lines != 1+len(want) {
				t.Errorf("%s: the export has %d lines, want %d", query, lines, 1+len(want))
			}
		}
		for _, bad := range []string{"since=yesterday", "since=2030-01-01", "format=xml"} {
			s.want(t, http.StatusUnprocessableEntity, "GET", auditPath+"/export?"+bad, "")
		}
	})
}

// begins is what the parameter q asks of an entry.
func begins(prefix string) func(client.AuditEntry) bool {
	return func(e client.AuditEntry) bool {
		return slices.ContainsFunc([]string{e.Actor.Name, e.Target, e.ResourceID, e.RequestID}, func(s string) bool {
			return strings.HasPrefix(s, prefix)
		})
	}
}

func TestTableIsTame(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.want(t, http.StatusCreated, "POST", tokens, `{"name":"=HYPERLINK(\"http://x\")","scopes":["gateway:use"]}`)
		a := s.want(t, http.StatusOK, "GET", auditPath+"/export?format=csv", "")
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "text/csv") {
			t.Errorf("it is %s", got)
		}
		rows, err := csv.NewReader(strings.NewReader(a.text())).ReadAll()
		if err != nil || len(rows) != 1+len(s.Audit(t)) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		target := slices.Index(rows[0], "target")
		if got := rows[len(rows)-1][target]; got != `'=HYPERLINK("http://x")` {
			t.Errorf("the cell is %s", got)
		}
	})
}

// TestRefusalsStallNobody sends refused requests without pause while an owner
// works: the edits go through, and no refusal opens a transaction or writes an
// entry of its own.
func TestRefusalsStallNobody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		s.provider(t, "main", "1")
		member := s.with(t, dbgen.User(t, s.DB, store.User{}), store.APIKey{Scopes: store.SetOf("all")})
		stop, done := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					done <- n
					return
				default:
					member.call(t, "PATCH", providers+"/main", `{"enabled":false}`)
					n++
				}
			}
		}()
		before := len(s.Audit(t))
		const edits = 50
		for i := range edits {
			s.want(t, http.StatusOK, "PATCH", providers+"/main", fmt.Sprintf(`{"display_name":"n%d"}`, i))
		}
		close(stop)
		refused := <-done
		if after := len(s.Audit(t)); after != before+edits {
			t.Errorf("%d edits and %d refusals left %d entries", edits, refused, after-before)
		}
		if refused == 0 {
			t.Error("nothing was refused meanwhile")
		}
	})
}
