package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehousehq/gatehouse/internal/gateway"
)

// A sink is a ResponseWriter that costs nothing.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) Flush()                      {}

func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

// A chunked reader gives one piece at each read.
type pieces struct {
	piece string
	left  int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	p.left--
	return copy(b, p.piece), nil
}

// The gateway's own share: no network, no server, no client.
func BenchmarkGateway(b *testing.B) {
	const body = `{"model":"gpt-x","messages":[{"role":"user","content":"hello"}]}`
	for _, bm := range []struct {
		name   string
		pieces int
		length int64
	}{
		{"answer", 1, 1000},
		{"stream of 50", 50, -1},
	} {
		b.Run(bm.name, func(b *testing.B) {
			piece := strings.Repeat("x", 1000)
			header := http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"req_1"}, "Openai-Version": {"1"}}
			gw, request := bare(b, gateway.Config{}, func(r *http.Request) (*http.Response, error) {
				r.Body.Close() // a transport does
				return &http.Response{
					StatusCode: 200, Header: header, ContentLength: bm.length,
					Body: io.NopCloser(&pieces{piece, bm.pieces}), Request: r,
				}, nil
			})
			template := request(strings.NewReader(body))
			reader := strings.NewReader(body)
			w := &sink{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				clear(w.h)
				r := *template
				r.Body = io.NopCloser(reader)
				gw.ServeHTTP(w, &r)
			}
		})
	}
}
