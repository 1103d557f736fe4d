package main

import (
	"strings"

	"github.com/gatehousehq/gatehouse/internal/gateway"
)

func headersPage(string) ([]byte, error) {
	p := newPage("Headers on the gateway",
		"A header passes the gateway only if it is listed here. A `*` at the end stands for any ending; case does not matter. So no credential of a client, no cookie, and nothing that chooses an account to bill goes upstream, and nothing that tells whose account it is comes back.",
		"The gateway itself sets the credential of the provider, and what the provider's settings say. Each answer has `X-Gatehouse-Request-Id`, which names the request in the log.")
	list := func(names []string) {
		var out strings.Builder
		for _, n := range names {
			out.WriteString("- " + code(n) + "\n")
		}
		p.text(strings.TrimSuffix(out.String(), "\n"))
	}
	p.heading(2, "From client to provider")
	list(gateway.RequestHeaders())
	p.heading(2, "From provider to client")
	list(gateway.ResponseHeaders())
	return p.bytes(), nil
}
