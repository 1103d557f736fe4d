//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// runBare serves two addresses, each for the upstream after it, until ctx ends,
// with the shortest proxy that replaces a credential.
func runBare(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 5 {
		return errors.New("usage: bench bare ADDRESS URL ADDRESS URL")
	}
	ended := make(chan error, 2)
	for i := 1; i < len(args); i += 2 {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", args[i])
		if err != nil {
			return err
		}
		target, err := url.Parse(args[i+1])
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: newBare(target, nil)}
		stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // nothing is left to lose
		defer stop()
		go func() { ended <- srv.Serve(l) }()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newBare returns the proxy. A nil trust is the machine's.
func newBare(target *url.URL, trust *tls.Config) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+upstreamKey)
		},
		FlushInterval: -1,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, DisableCompression: true, TLSClientConfig: trust,
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
