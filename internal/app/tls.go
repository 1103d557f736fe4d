package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// A certificate is a TLS certificate that is read again when its files change,
// so that renewing it needs no restart.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string    // of the files that current was read from
	checked time.Time // when stamp was last compared
}

// checkEvery is how often a handshake looks at the files.
const checkEvery = time.Second

func loadCertificate(certFile, keyFile string, log *slog.Logger, now func() time.Time) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the files if they changed.
func (c *certificate) load() error {
	stamp, err := c.fileStamp()
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	if stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("read the TLS certificate: %w", err)
	}
	c.current, c.stamp = &pair, stamp
	return nil
}

func (c *certificate) fileStamp() (string, error) {
	var stamp string
	for _, f := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(f)
		if err != nil {
			return "", err
		}
		stamp += fmt.Sprint(info.Size(), info.ModTime().UnixNano(), " ")
	}
	return stamp, nil
}

// get serves a handshake. New files that cannot be used leave the old
// certificate in place.
func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= checkEvery {
		c.checked = now
		before := c.stamp
		if err := c.load(); err != nil {
			c.log.ErrorContext(context.WithoutCancel(hello.Context()), "keeping the old TLS certificate", "error", err)
		} else if c.stamp != before {
			c.log.InfoContext(hello.Context(), "TLS certificate read again")
		}
	}
	return c.current, nil
}
