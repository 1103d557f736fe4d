//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A scenario is a row of the table: what is asked, by how many at once.
type scenario struct {
	name    string
	kind    string // which answer, for the upstream
	clients int
	body    []byte
	size    int64 // of the answer; zero for any
	paced   bool  // what is counted are chunks, not requests
}

func scenarios() []scenario {
	ask := func(stream bool, text string) []byte {
		return fmt.Appendf(nil, `{"model":"mock-gpt","stream":%t,"messages":[{"role":"user","content":"%s"}]}`, stream, text)
	}
	reply, _ := render(replyText(), false)
	stream, _ := render(strings.TrimSpace(strings.Repeat("word ", streamWords)), true)
	small, large := ask(false, "hello"), ask(false, strings.Repeat("x", 1<<20))
	return []scenario{
		{name: "1 KiB reply, 16 clients", kind: "reply", clients: 16, body: small, size: int64(len(reply))},
		{name: "1 KiB reply, 64 clients", kind: "reply", clients: 64, body: small, size: int64(len(reply))},
		{name: "stream of 50 chunks, 32 clients", kind: "stream", clients: 32, body: ask(true, "hello"), size: int64(len(stream))},
		{name: "1 MiB request, 8 clients", kind: "reply", clients: 8, body: large, size: int64(len(reply))},
		{name: "chunk of a stream paced at 20 ms, 8 clients", kind: "paced", clients: 8, body: ask(true, "hello"), paced: true},
	}
}

// A result is what one measurement found.
type result struct {
	rate     float64 // requests (or chunks) a second
	p50, p99 time.Duration
	cpu      time.Duration // of the target, for each of them
	errors   int64
	first    error // the first of the errors
}

// The phases of a measurement.
const (
	warming int32 = iota
	counting
	stopping
)

// A client is one connection that sends a request when it has its answer.
type client struct {
	target  target
	request []byte
	want    scenario
	phase   *atomic.Int32

	took   []time.Duration
	rest   []byte // of a paced chunk that has not come whole
	errors int64
	first  error
}

// load measures t under s.
func load(ctx context.Context, t target, s scenario, warmup, duration time.Duration) (result, error) {
	request := fmt.Appendf(nil, "POST %s?bench=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: bench\r\nContent-Length: %d\r\n\r\n%s",
		t.path, s.kind, t.addr, t.token.Reveal(), len(s.body), s.body)
	var phase atomic.Int32
	var wg sync.WaitGroup
	clients := make([]*client, s.clients)
	for i := range clients {
		clients[i] = &client{target: t, request: request, want: s, phase: &phase}
		wg.Go(func() { clients[i].run(ctx) })
	}
	var used time.Duration
	err := wait(ctx, warmup)
	if err == nil {
		used, err = t.used()
	}
	begun := time.Now()
	phase.Store(counting)
	if err == nil {
		err = wait(ctx, duration)
	}
	phase.Store(stopping)
	elapsed := time.Since(begun)
	if err == nil {
		var after time.Duration
		after, err = t.used()
		used = after - used
	}
	wg.Wait()
	if err != nil {
		return result{}, fmt.Errorf("%s, %s: %w", t.name, s.name, err)
	}
	var all []time.Duration
	var r result
	for _, c := range clients {
		all = append(all, c.took...)
		r.errors += c.errors
		if r.first == nil {
			r.first = c.first
		}
	}
	if len(all) > 0 {
		slices.Sort(all)
		r.rate = float64(len(all)) / elapsed.Seconds()
		r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
		r.cpu = used / time.Duration(len(all))
	}
	return r, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// maxErrors ends a client that does nothing but fail.
const maxErrors = 100

func (c *client) run(ctx context.Context) {
	for c.phase.Load() != stopping && ctx.Err() == nil && c.errors < maxErrors {
		if err := c.converse(ctx); err != nil {
			c.fail(err)
		}
	}
}

// timeout bounds a connection, so that a target that hangs does not hang us.
const timeout = 5 * time.Minute

// converse uses one connection until it is time to stop.
func (c *client) converse(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.target.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	c.rest = nil
	for c.phase.Load() != stopping {
		before := c.phase.Load()
		begun := time.Now()
		if _, err := conn.Write(c.request); err != nil {
			return fmt.Errorf("send the request: %w", err)
		}
		if err := c.receive(in); err != nil {
			return err
		}
		if !c.want.paced && before == counting && c.phase.Load() == counting {
			c.took = append(c.took, time.Since(begun))
		}
	}
	return nil
}

// receive reads one answer and checks it.
func (c *client) receive(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("the answer is %q", bytes.TrimSpace(line))
	}
	h, err := readHeader(in)
	if err != nil {
		return err
	}
	var see func([]byte)
	if c.want.paced {
		see = c.see
	}
	size, err := h.body(in, see)
	if err != nil {
		return err
	}
	if c.want.size != 0 && size != c.want.size {
		return fmt.Errorf("the answer has %d bytes, not %d", size, c.want.size)
	}
	return nil
}

// see takes the time that a paced chunk was under way. Both clocks are this
// machine's. A proxy may cut chunks anew: what is not complete yet is kept.
func (c *client) see(piece []byte) {
	now := time.Now().UnixNano()
	c.rest = append(c.rest, piece...)
	for {
		event, after, ok := bytes.Cut(c.rest, []byte("\n\n"))
		if !ok {
			return
		}
		digits := bytes.TrimSuffix(bytes.TrimPrefix(event, []byte(stamp)), []byte("}"))
		sent, err := strconv.ParseInt(string(digits), 10, 64)
		switch {
		case err != nil:
			c.fail(errors.New("a paced chunk does not say when it was sent"))
		case c.phase.Load() == counting:
			c.took = append(c.took, time.Duration(now-sent))
		}
		c.rest = append(c.rest[:0], after...)
	}
}

func (c *client) fail(err error) {
	c.errors++
	if c.first == nil {
		c.first = err
	}
}
