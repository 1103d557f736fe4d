package translate_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gatehousehq/gatehouse/internal/translate"
)

const document = "../../docs/translation.md"

// TestDocument holds the tables of docs/translation.md to the rules.
func TestDocument(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begins, ends = "<!-- members: go test ./internal/translate -update -->\n", "<!-- end of members -->"
	head, rest, ok := strings.Cut(string(b), begins)
	_, tail, ok2 := strings.Cut(rest, ends)
	if !ok || !ok2 {
		t.Fatal("the document has no place for the members")
	}
	var s strings.Builder
	s.WriteString(head + begins)
	for _, client := range []translate.API{translate.Chat, translate.Responses, translate.Messages} {
		var others []translate.API
		for _, a := range []translate.API{translate.Messages, translate.Chat, translate.Responses} {
			if a != client {
				others = append(others, a)
			}
		}
		fmt.Fprintf(&s, "\n### Requests of %s\n\n| member | to %s | to %s | why |\n|---|---|---|---|\n", client, others[0], others[1])
		one, other := translate.Fates(client, others[0]), translate.Fates(client, others[1])
		for i, f := range one {
			why := f.Why
			if why == "" {
				why = other[i].Why
			}
			fmt.Fprintf(&s, "| `%s` | %s | %s | %s |\n", f.Name, f.How, other[i].How, why)
		}
	}
	s.WriteString("\n" + ends + tail)
	golden(t, document, []byte(s.String()))
}
