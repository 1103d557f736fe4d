package transport

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"
)

// A tape is a connection that gives what is on it in pieces.
type tape struct {
	net.Conn
	left  []byte
	piece int
}

func (p *tape) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.piece)], p.left)
	p.left = p.left[n:]
	return n, nil
}

func (*tape) Write(b []byte) (int, error)       { return len(b), nil }
func (*tape) Close() error                      { return nil }
func (*tape) SetDeadline(time.Time) error       { return nil }
func (p *tape) SetReadDeadline(time.Time) error { return nil }

// What we accept, net/http reads alike: the same head, the same body, the same
// end. So nothing is an answer here that is part of one elsewhere.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX: y\r\n\r\nmore",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nx-a: b\r\nX-A:\tc \r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\nuntil it closes",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
	} {
		f.Add([]byte(s), uint16(1), false)
		f.Add([]byte(s), uint16(7), true)
		f.Add([]byte(s), uint16(1000), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, piece uint16, head bool) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		req, err := http.NewRequestWithContext(context.Background(), method, "http://a/", nil)
		if err != nil {
			t.Fatal(err)
		}
		tr := New(Config{MaxResponseHeaderBytes: 64 << 10})
		defer tr.CloseIdleConnections()
		on := &tape{left: bytes.Clone(data), piece: int(piece) + 1}
		tr.dial = func(context.Context, string, string) (net.Conn, error) { return on, nil }
		res, err := tr.RoundTrip(req)
		if err != nil {
			if tr.Stats().Idle != 0 {
				t.Error("a connection without an answer is kept")
			}
			return
		}
		body, err := io.ReadAll(res.Body)
		kept := tr.Stats().Idle == 1
		res.Body.Close()

		in := bufio.NewReader(bytes.NewReader(data))
		var want *http.Response
		var wantErr error
		for want == nil || wantErr == nil && want.StatusCode < 200 {
			want, wantErr = http.ReadResponse(in, req)
		}
		if wantErr != nil {
			t.Fatalf("we accept what net/http does not: %v", wantErr)
		}
		wantBody, wantErr := io.ReadAll(want.Body)
		if res.Header.Get("Pragma") == "no-cache" {
			want.Header, res.Header = nil, nil // net/http adds a header
		}
		delete(want.Header, "Trailer")
		delete(res.Header, "Trailer")
		if res.StatusCode != want.StatusCode || res.ContentLength != want.ContentLength || !reflect.DeepEqual(res.Header, want.Header) {
			t.Fatalf("got %d, %d, %v, want %d, %d, %v", res.StatusCode, res.ContentLength, res.Header, want.StatusCode, want.ContentLength, want.Header)
		}
		switch {
		case err == nil && wantErr != nil:
			t.Fatalf("we say that it is whole, net/http: %v", wantErr)
		case err == nil && !bytes.Equal(body, wantBody), err != nil && !bytes.HasPrefix(wantBody, body):
			t.Fatalf("got %q, want %q", body, wantBody)
		case err != nil && !errors.Is(err, errMalformed) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Fatalf("got the error %v", err)
		}
		if kept && (err != nil || want.Close || want.ContentLength < 0 && want.TransferEncoding == nil && !head) {
			t.Fatalf("the connection is kept after %v", err)
		}
		if rest, _ := io.ReadAll(in); kept && len(rest) != len(on.left) {
			t.Fatalf("the answer ends %d bytes before the end, net/http says %d", len(on.left), len(rest))
		}
	})
}

// A line and its data may be cut anywhere.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n6\r\n world\r\n0\r\nT: u\r\n\r\n"
	for piece := 1; piece <= len(answer); piece++ {
		for end := 0; end <= len(answer); end++ {
			tr := New(Config{})
			on := &tape{left: []byte(answer[:end]), piece: piece}
			tr.dial = func(context.Context, string, string) (net.Conn, error) { return on, nil }
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a/", nil)
			if err != nil {
				t.Fatal(err)
			}
			var body []byte
			res, err := tr.RoundTrip(req)
			if err == nil {
				body, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			whole := end == len(answer)
			if (err == nil) != whole || whole && string(body) != "hello world" || (tr.Stats().Idle == 1) != whole {
				t.Fatalf("%d bytes by %d: got %q, %v", end, piece, body, err)
			}
			tr.CloseIdleConnections()
		}
	}
}
