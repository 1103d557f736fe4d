//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/mockupstream"
	"github.com/gatehousehq/gatehouse/internal/secret"
)

// The upstream of a measurement must cost little, or its speed is what is
// measured. It has the mock upstream make each answer once, and then serves
// those bytes without net/http. Which one is asked for is in the query, which
// every proxy passes.

const (
	upstreamKey = "sk-mock-benchmark-key-000001"
	path        = "/v1/chat/completions"

	replySize   = 1 << 10
	streamWords = 48 // and one chunk before and after them
	pacedChunks = 50
	pace        = 20 * time.Millisecond
	openChunks  = 600
	openPace    = 500 * time.Millisecond
)

// runMock serves two addresses until ctx ends: the second by TLS, with the
// certificate and key in the files that follow.
func runMock(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 5 {
		return errors.New("usage: bench mock ADDRESS TLSADDRESS CERTIFICATE KEY")
	}
	plain, err := new(net.ListenConfig).Listen(ctx, "tcp", args[1])
	if err != nil {
		return err
	}
	secured, err := new(net.ListenConfig).Listen(ctx, "tcp", args[2])
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(args[3], args[4])
	if err != nil {
		return err
	}
	secured = tls.NewListener(secured, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	ended := make(chan error, 1)
	go func() { ended <- serveMock(ctx, secured) }()
	return errors.Join(serveMock(ctx, plain), <-ended)
}

// serveMock serves l until ctx ends.
func serveMock(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // it ends Accept
	defer stop()
	reply := answer(replyText(), false)
	stream := answer(strings.TrimSpace(strings.Repeat("word ", streamWords)), true)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		// It ends with its connection; the process ends them all.
		go serveConn(conn, reply, stream)
	}
}

// replyText makes the whole reply replySize bytes long.
func replyText() string {
	body, _ := render("x", false)
	return strings.Repeat("x", replySize-len(body)+1)
}

// render has the mock upstream answer with text.
func render(text string, stream bool) ([]byte, *recorder) {
	up := mockupstream.New(mockupstream.Config{
		Keys: map[secret.Text]mockupstream.Key{secret.New(upstreamKey): {}}, Reply: text, Keep: -1,
	})
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fmt.Sprintf(`{"model":"mock-gpt","stream":%t}`, stream)))
	req.Header.Set("Authorization", "Bearer "+upstreamKey)
	rec := &recorder{header: http.Header{}}
	up.ServeHTTP(rec, req)
	return bytes.Join(rec.writes, nil), rec
}

// A recorder keeps each write of a handler by itself.
type recorder struct {
	header http.Header
	writes [][]byte
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
func (r *recorder) Flush()              {}
func (r *recorder) Write(p []byte) (int, error) {
	r.writes = append(r.writes, bytes.Clone(p))
	return len(p), nil
}

// answer returns what to write to a connection, write by write.
func answer(text string, stream bool) [][]byte {
	_, rec := render(text, stream)
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = rec.header.Write(&head) // a buffer takes everything
	if !stream {
		head.WriteString("\r\n")
		return [][]byte{append(head.Bytes(), rec.writes[0]...)}
	}
	head.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	writes := make([][]byte, len(rec.writes))
	for i, w := range rec.writes {
		writes[i] = chunk(w)
	}
	writes[0] = append(head.Bytes(), writes[0]...)
	last := len(writes) - 1
	writes[last] = append(writes[last], lastChunk...)
	return writes
}

const lastChunk = "0\r\n\r\n"

func chunk(data []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(data), data) }

// serveConn answers one request after the other until the client leaves.
func serveConn(conn net.Conn, reply, stream [][]byte) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		writes, chunks, every := reply, 0, pace
		switch {
		case bytes.Contains(line, []byte("?bench=stream")):
			writes = stream
		case bytes.Contains(line, []byte("?bench=paced")):
			chunks = pacedChunks
		case bytes.Contains(line, []byte("?bench=open")):
			chunks, every = openChunks, openPace
		}
		h, err := readHeader(in)
		if err != nil {
			return
		}
		if _, err := h.body(in, nil); err != nil {
			return
		}
		if chunks > 0 {
			if servePaced(conn, chunks, every) != nil {
				return
			}
			continue
		}
		for _, w := range writes {
			if _, err := conn.Write(w); err != nil {
				return
			}
		}
	}
}

// stamp begins the time of sending in a paced chunk.
const stamp = `data: {"sent":`

// servePaced sends a stream whose chunks say when they were sent.
func servePaced(conn net.Conn, chunks int, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		return err
	}
	for range chunks {
		<-tick.C
		event := append(strconv.AppendInt([]byte(stamp), time.Now().UnixNano(), 10), "}\n\n"...)
		if _, err := conn.Write(chunk(event)); err != nil {
			return err
		}
	}
	_, err := conn.Write([]byte(lastChunk))
	return err
}
