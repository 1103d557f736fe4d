package transport_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/transport"
)

// What http.Transport makes of an upstream's bytes, we make of them too, or
// refuse them. The answers are put together at random from parts that are right,
// odd and wrong, and come in pieces.
func TestWhatIsAcceptedIsReadAsHTTPTransportReadsIt(t *testing.T) {
	t.Parallel()
	answers := make(chan []string, 4)
	up := listen(t, func(w *wire) {
		if r, _ := w.request(); r != nil {
			for _, piece := range <-answers {
				w.say("%s", piece)
			}
			// One request to a connection: what is left over is seen elsewhere.
			w.Conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, w.in)
		}
	})
	ours := newTransport(t, transport.Config{})
	theirs := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	defer theirs.CloseIdleConnections()
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	accepted, refused := 0, 0
	for range 800 {
		answer := strings.Join(randomAnswer(rnd), "")
		method := []string{"GET", "HEAD", "POST"}[rnd.IntN(3)]
		var got [2]outcome
		for i, rt := range []http.RoundTripper{ours, theirs} {
			for asked := true; asked; {
				answers <- cut(rnd, answer)
				got[i] = try(rt, request(t, method, up.url, nil))
				select {
				case <-answers: // not taken: the connection had served, and was over before its end was seen
				default:
					asked = false
				}
			}
		}
		if got[0].err != nil && got[0].status == 0 {
			refused++
			continue
		}
		accepted++
		a, b := got[0], got[1]
		for _, h := range []http.Header{a.header, b.header} {
			delete(h, "Trailer") // they take these two out, in part
			delete(h, "Connection")
		}
		same := a.status == b.status && a.body == b.body && reflect.DeepEqual(a.header, b.header) && (a.err == nil) == (b.err == nil)
		if same && (a.res.ContentLength != b.res.ContentLength || !reflect.DeepEqual(a.res.TransferEncoding, b.res.TransferEncoding) ||
			a.res.Proto != b.res.Proto || a.res.Status != b.res.Status) {
			same = false
		}
		// They read on where we say that a body is broken.
		if !same && a.err != nil && a.status == b.status && strings.HasPrefix(b.body, a.body) {
			continue
		}
		if !same {
			t.Fatalf("%s\n%q\nours:   %d %q %v %v\ntheirs: %d %q %v %v\nours:   %+v\ntheirs: %+v",
				method, answer, a.status, a.body, a.header, a.err, b.status, b.body, b.header, b.err, a.res, b.res)
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d were accepted and %d refused: that is no test", accepted, refused)
	}
}

// randomAnswer returns the parts of an answer.
func randomAnswer(rnd *rand.Rand) []string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	var parts []string
	for rnd.IntN(8) == 0 {
		parts = append(parts, "HTTP/1.1 103 Early Hints\r\n", pick("", "Link: x\r\n"), "\r\n")
	}
	status := "HTTP/1.1 200 OK\r\n"
	if rnd.IntN(4) == 0 {
		status = pick("HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 204 No Content\r\n", "HTTP/1.1 304 Not Modified\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 500\r\n",
			"HTTP/1.1 500 \r\n", "HTTP/1.1 200  OK\r\n", "http/1.1 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/3.1 200 OK\r\n", "HTTP/1.1 200 OK\n", "HTTP/1.1 700 \xc3\xa9\r\n")
	}
	parts = append(parts, status)
	length := -1
	chunked := false
	for range rnd.IntN(5) {
		switch rnd.IntN(9) {
		case 0, 1:
			length = rnd.IntN(20)
			parts = append(parts, fmt.Sprintf(pick("Content-Length: %d\r\n", "content-length:%d\r\n", "CONTENT-LENGTH:\t%d \r\n"), length))
		case 2, 3:
			chunked = true
			parts = append(parts, pick("Transfer-Encoding: chunked\r\n", "transfer-encoding: Chunked\r\n"))
		case 4:
			parts = append(parts, pick("Connection: close\r\n", "connection: keep-alive\r\n", "Connection: x,close\r\n"))
		case 5:
			parts = append(parts, pick("X-A: 1\r\n", "x-a: 2\r\n", "X-a:\r\n", "x-b: a b\tc \r\n", "X-C: \xff\r\n", "Trailer: X-T\r\n"))
		case 6:
			if rnd.IntN(3) == 0 {
				parts = append(parts, pick("Bad Header: 1\r\n", "Bad: a\x00b\r\n", " folded\r\n", "nothing\r\n", "X: y\n", "Content-Length: -1\r\n",
					"Content-Length: 5, 5\r\n", "Content-Length: 0x5\r\n", "Transfer-Encoding: gzip\r\n", "Content-Length : 3\r\n", "X: y\rz\r\n", ": x\r\n"))
			}
		}
	}
	parts = append(parts, "\r\n")
	text := strings.Repeat("body ", 5)
	switch {
	case chunked:
		for range rnd.IntN(4) {
			n := 1 + rnd.IntN(16)
			parts = append(parts, fmt.Sprintf(pick("%x\r\n", "%X\r\n", "%x;a=b\r\n", "0%x\r\n", "%x \r\n"), n), text[:n], "\r\n")
			if rnd.IntN(20) == 0 {
				parts = append(parts, pick("\r\n", "x", "-1\r\n", "g\r\n", "1\n", "ffffffffffffffff\r\n"))
			}
		}
		if rnd.IntN(10) > 0 {
			parts = append(parts, pick("0\r\n", "00\r\n", "0;x\r\n"), pick("", "", "X-T: 1\r\n", "bad\r\n"), "\r\n")
		}
	case length >= 0:
		parts = append(parts, text[:max(length-rnd.IntN(2), 0)])
	default:
		parts = append(parts, text[:rnd.IntN(20)])
	}
	return parts
}

// cut cuts s into pieces, of which some are as small as can be.
func cut(rnd *rand.Rand, s string) (pieces []string) {
	for s != "" {
		n := min(len(s), 1+rnd.IntN([]int{1, 10, 1000}[rnd.IntN(3)]))
		pieces, s = append(pieces, s[:n]), s[n:]
	}
	return pieces
}
