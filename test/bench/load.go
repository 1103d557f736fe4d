//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
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
	rate    int   // requests a second, of all clients; zero is as many as they can
	open    bool  // the answers are streams that stay open; nothing is counted
	secured bool  // the upstream is reached by TLS
	listed  bool  // the token has a list of models, if the target has tokens
	routed  bool  // it goes by a route, if the target has any
}

func scenarios() []scenario {
	ask := func(stream bool, text string) []byte {
		return fmt.Appendf(nil, `{"model":"%s","stream":%t,"messages":[{"role":"user","content":"%s"}]}`, benchModel, stream, text)
	}
	reply, _ := render(replyText(), false)
	stream, _ := render(strings.TrimSpace(strings.Repeat("word ", streamWords)), true)
	small, large := ask(false, "hello"), ask(false, strings.Repeat("x", 1<<20))
	list := []scenario{
		{name: oneKiB16, kind: "reply", clients: 16, body: small, size: int64(len(reply))},
		{name: oneKiB64, kind: "reply", clients: 64, body: small, size: int64(len(reply))},
		{name: streams32, kind: "stream", clients: 32, body: ask(true, "hello"), size: int64(len(stream))},
		{name: oneMiB8, kind: "reply", clients: 8, body: large, size: int64(len(reply))},
		{name: steady, kind: "reply", clients: 32, body: small, size: int64(len(reply)), rate: 1000},
		{name: paced8, kind: "paced", clients: 8, body: ask(true, "hello"), paced: true},
	}
	for _, s := range list {
		s.name, s.secured = s.name+overTLS, true
		list = append(list, s)
	}
	list = append(list,
		scenario{name: oneMiBListed, kind: "reply", clients: 8, body: large, size: int64(len(reply)), listed: true},
		scenario{name: oneKiBRouted, kind: "reply", clients: 64, body: small, size: int64(len(reply)), routed: true},
	)
	return append(list, scenario{name: open2000, kind: "open", clients: 2000, body: ask(true, "hello"), open: true})
}

// benchModel is the model that is asked for, and the name of a route to it.
const benchModel = "mock-gpt"

// The names of the scenarios, which the limits refer to.
const (
	oneKiB16  = "1 KiB reply, 16 clients"
	oneKiB64  = "1 KiB reply, 64 clients"
	streams32 = "stream of 50 chunks, 32 clients"
	oneMiB8   = "1 MiB request, 8 clients"
	steady    = "1 KiB reply, 1,000 a second"
	// The proxies that know neither are asked as ever, to be compared with.
	oneMiBListed = "1 MiB request, 8 clients; the token has a list of models"
	oneKiBRouted = "1 KiB reply, 64 clients; by a route"
	paced8       = "chunk of a stream paced at 20 ms, 8 clients"
	open2000     = "2,000 open streams"
	overTLS      = "; upstream by TLS"
)

// A result is what one measurement found.
type result struct {
	rate     float64 // requests (or chunks) a second
	p50, p99 time.Duration
	cpu      time.Duration // of the target, for each of them
	resident int64         // bytes of the target's memory, at the end
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
	at      endpoint
	request []byte
	want    scenario
	phase   *atomic.Int32
	start   time.Time     // when the first request is due
	every   time.Duration // between two requests; zero is at once
	opened  *atomic.Int64 // streams

	took   []time.Duration
	rest   []byte // of a paced chunk that has not come whole
	errors int64
	first  error
}

// load measures t under s.
func load(ctx context.Context, t target, s scenario, warmup, duration time.Duration) (result, error) {
	at := t.at(s)
	request := fmt.Appendf(nil, "POST %s?bench=%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: bench\r\nContent-Length: %d\r\n\r\n%s",
		at.path, s.kind, at.addr, t.tokenFor(s).Reveal(), len(s.body), s.body)
	var phase atomic.Int32
	var wg sync.WaitGroup
	clients := make([]*client, s.clients)
	var opened atomic.Int64
	for i := range clients {
		c := &client{at: at, request: request, want: s, phase: &phase, opened: &opened}
		if s.rate > 0 {
			c.every = time.Duration(s.clients) * time.Second / time.Duration(s.rate)
			c.start = time.Now().Add(c.every * time.Duration(i) / time.Duration(s.clients))
		}
		clients[i] = c
		wg.Go(func() { c.run(ctx) })
	}
	var used time.Duration
	err := wait(ctx, warmup)
	for waited := warmup; s.open && err == nil && opened.Load() < int64(s.clients) && waited < openWithin; waited += warmup {
		err = wait(ctx, max(warmup, 100*time.Millisecond))
	}
	if err == nil {
		used, err = t.used()
	}
	begun := time.Now()
	phase.Store(counting)
	if err == nil {
		err = wait(ctx, duration)
	}
	resident, residentErr := t.resident()
	phase.Store(stopping)
	elapsed := time.Since(begun)
	err = errors.Join(err, residentErr)
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
	r := result{resident: resident}
	if n := opened.Load(); s.open && n < int64(s.clients) {
		r.errors, r.first = 1, fmt.Errorf("%d streams are open", n)
	}
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

// openWithin is how long it may take until all streams are open.
const openWithin = 30 * time.Second

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
	conn, err := c.at.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	size := 64 << 10
	if c.want.open {
		size = 4 << 10
	}
	in := bufio.NewReaderSize(conn, size)
	c.rest = nil
	for c.phase.Load() != stopping {
		if c.every > 0 {
			if err := wait(ctx, time.Until(c.start)); err != nil {
				return err
			}
			c.start = c.start.Add(c.every)
		}
		before := c.phase.Load()
		begun := time.Now()
		if _, err := conn.Write(c.request); err != nil {
			return fmt.Errorf("send the request: %w", err)
		}
		err := c.receive(in)
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
		if !c.want.paced && !c.want.open && before == counting && c.phase.Load() == counting {
			c.took = append(c.took, time.Since(begun))
		}
	}
	return nil
}

// errEnough ends a stream that is open for as long as anybody likes.
var errEnough = errors.New("the streams have been open long enough")

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
	var see func([]byte) error
	switch {
	case c.want.paced:
		see = c.see
	case c.want.open:
		c.opened.Add(1)
		see = func([]byte) error {
			if c.phase.Load() == stopping {
				return errEnough
			}
			return nil
		}
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
func (c *client) see(piece []byte) error {
	now := time.Now().UnixNano()
	c.rest = append(c.rest, piece...)
	for {
		event, after, ok := bytes.Cut(c.rest, []byte("\n\n"))
		if !ok {
			return nil
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
