//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// runBare serves the address in its arguments with the shortest proxy that
// replaces a credential, until ctx ends.
func runBare(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 3 {
		return errors.New("usage: bench bare ADDRESS UPSTREAM")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", args[1])
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: newBare(args[2])}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nothing is left to lose
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func newBare(upstream string) http.Handler {
	target := &url.URL{Scheme: "http", Host: upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+upstreamKey)
		},
		FlushInterval: -1,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, DisableCompression: true,
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without it the server closes the request's body when the answer
		// begins. An upstream can be so fast that the transport, which looks
		// for the end of the body after sending it, then finds it closed and
		// breaks the answer off.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1.1 has it
		proxy.ServeHTTP(w, r)
	})
}
