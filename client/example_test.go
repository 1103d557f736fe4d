package client_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gatehousehq/gatehouse/client"
	"github.com/gatehousehq/gatehouse/client/clienttest"
)

func Example() {
	server := clienttest.NewServer() // stands for a real one
	defer server.Close()

	ctx := context.Background()
	c, err := client.New(server.URL, server.Token, client.WithHTTPClient(server.Client()))
	if err != nil {
		log.Fatal(err)
	}
	p, err := c.CreateProvider(ctx, client.CreateProvider{
		Type:    client.OpenAI,
		Name:    "openai",
		BaseURL: "https://api.openai.com/v1",
		APIKeys: []string{"sk-one", "sk-two"},
	})
	if err != nil {
		log.Fatal(err)
	}

	// Change it only if nobody else has meanwhile.
	_, err = c.UpdateProvider(ctx, p.Name, p.Revision, client.UpdateProvider{Enabled: new(false)})
	if err != nil {
		log.Fatal(err)
	}

	for p, err := range c.Providers(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(p.Name, p.Enabled, len(p.APIKeys))
	}
	// Output: openai false 2
}
