package chaos_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"
)

// patience is how long a client waits for anything. No request takes as long:
// each attempt ends within two of the server's timeouts.
const patience = 90 * time.Second

// A caller is one client, with one connection that it uses for as long as it can.
// It speaks HTTP in raw bytes, so that it knows what came and can leave at any time.
type caller struct {
	w    *world
	conn *net.TCPConn
	br   *bufio.Reader
	uses int
	// begun, if not nil, is called when the head of an answer is there.
	begun func()
}

// An outcome is what a client saw.
type outcome struct {
	status int
	id     string // X-Gatehouse-Request-Id
	from   string // nonce/key, as the upstream says
	ended  bool   // as if it were whole
	size   int64
	body   []byte // of an error
	differ error  // from what the upstream sent
	kind   kind   // of that
	err    error  // what broke
	left   bool
	late   bool // the rig was too slow to say what must come of it
}

func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close() // it may be closed
		c.conn = nil
	}
}

// leave ends the connection as a client does that vanishes.
func (c *caller) leave(p *plan) {
	if p.abrupt {
		_ = c.conn.SetLinger(0) // else it is a close, which is as good
	}
	c.close()
}

func (c *caller) connect(p *plan) error {
	if c.conn != nil && p.behaviour != dawdles {
		return nil
	}
	c.close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.w.server.URL, "http://"))
	if err != nil {
		return err
	}
	c.conn, c.uses = conn.(*net.TCPConn), 0
	if p.behaviour == dawdles {
		_ = c.conn.SetReadBuffer(64 << 10) // else the kernel would read it all at once
	}
	c.br = bufio.NewReader(conn)
	return nil
}

// do makes a request, and looks at the answer.
func (c *caller) do(p *plan) (o outcome) {
	if o.err = c.connect(p); o.err != nil {
		return o
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience)) // a closed one fails below
	sent := c.sendInTurn(p)
	defer sent() // and only then is the connection free
	c.uses++
	switch p.behaviour {
	case leavesSending:
		sent()
		c.leave(p)
		return outcome{left: true}
	case leavesWaiting:
		sent()
		<-time.After(p.patience) // the moment is by chance
		c.leave(p)
		return outcome{left: true}
	}
	res, err := http.ReadResponse(c.br, &http.Request{Method: http.MethodPost})
	if err != nil {
		c.close()
		return outcome{err: fmt.Errorf("no answer (request %d of its connection): %w", c.uses, err)}
	}
	o.status, o.id, o.from = res.StatusCode, res.Header.Get("X-Gatehouse-Request-Id"), res.Header.Get("X-Request-Id")
	if res.Header.Get("Set-Cookie") != "" {
		o.differ, o.kind = errors.New("a cookie came through"), altered
	}
	if c.begun != nil {
		c.begun()
	}
	if p.behaviour == leavesAtHead {
		c.leave(p)
		o.left = true
		return o
	}
	c.read(p, res, &o)
	if o.left || !o.ended || res.Close {
		c.close()
	}
	return o
}

// read takes the body, as far as the client wants it.
func (c *caller) read(p *plan, res *http.Response, o *outcome) {
	_, name, relayed := strings.Cut(o.from, "/")
	var want *comparison
	if relayed && res.StatusCode < 300 {
		want = &comparison{want: p.answer(name)}
	}
	buf, since := make([]byte, 16<<10), time.Now()
	for {
		if p.behaviour == leavesReading && o.size >= p.after {
			c.leave(p)
			o.left = true
			return
		}
		o.late = o.late || time.Since(since) > slow
		n, err := res.Body.Read(buf)
		since = time.Now()
		o.size += int64(n)
		if want == nil {
			o.body = append(o.body, buf[:n]...)
		} else if _, differ := want.Write(buf[:n]); differ != nil {
			o.differ, o.kind = differ, altered
			if c.w.planner.foreign(want.got, p) {
				o.kind = mixed
			}
			return
		}
		if err != nil {
			o.ended = errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
			if !o.ended {
				o.err = err
			} else if want != nil && !want.ended() {
				o.err = io.ErrUnexpectedEOF
			}
			return
		}
		if p.behaviour == dawdles {
			<-time.After(3 * time.Millisecond) // this is what it is to be slow
		}
	}
}

// sendInTurn sends a request, a large body while the answer is read. The result
// waits until it is sent, or cannot be.
func (c *caller) sendInTurn(p *plan) (wait func()) {
	conn := c.conn
	head := c.head(p)
	if p.upload <= 32<<10 {
		_ = c.send(conn, p, head) // the answer says more
		return func() {}
	}
	var work sync.WaitGroup
	work.Go(func() { _ = c.send(conn, p, head) }) // likewise
	return work.Wait
}

func (c *caller) head(p *plan) string {
	u := c.w.providerOf(p)
	path := map[string]string{"openai": "chat/completions", "anthropic": "messages"}[u.api]
	method := http.MethodPost
	if p.list {
		method, path = http.MethodGet, "models"
	}
	head := fmt.Sprintf("%s /ai/%s/v1/%s?n=%s HTTP/1.1\r\nHost: gatehouse\r\nAuthorization: Bearer %s\r\nX-Client-Request-Id: %s\r\n",
		method, u.name, path, p.nonce, c.w.server.OwnerToken().Reveal(), p.nonce)
	if p.idem {
		head += "Idempotency-Key: " + p.nonce + "\r\n"
	}
	switch {
	case p.list:
	case p.chunked:
		head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
	default:
		head += fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", p.upload)
	}
	return head + "\r\n"
}

// send writes the request, or the beginning of it.
func (c *caller) send(conn net.Conn, p *plan, head string) error {
	if p.list {
		_, err := io.WriteString(conn, head)
		return err
	}
	w := bufio.NewWriterSize(conn, 32<<10)
	_, _ = w.WriteString(head) // Flush says it
	body := p.sent()
	if p.behaviour == leavesSending {
		body = io.LimitReader(body, p.after)
	}
	var into io.Writer = w
	if p.chunked {
		into = httputil.NewChunkedWriter(w)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{into}, body, make([]byte, 16<<10)); err != nil {
		return err
	}
	if p.chunked && p.behaviour != leavesSending {
		_, _ = w.WriteString("0\r\n\r\n") // Flush says it
	}
	return w.Flush()
}
