package transport

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// lateBody is for how long a body may still be sent when its answer has been
// read to the end, if the connection is to serve again.
const lateBody = 50 * time.Millisecond

// A sending is a request body on its way, on a goroutine of its own. Whoever
// comes last, that goroutine or the end of the answer, sees to the connection.
type sending struct {
	mu       sync.Mutex
	answered bool  // the head of the answer is there
	over     bool  // the answer was read to its end, and all was well
	done     bool  // nothing more is sent
	err      error // why not all was sent
	bodyErr  error // if that is the body's fault
}

// send sends the body of the request.
func (x *Body) send() {
	bodyErr, err := writeBody(x.c, x.req)
	closeBody(x.req)
	s := x.sending
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.bodyErr = true, bodyErr
	if s.err = err; bodyErr != nil {
		s.err = bodyErr
	}
	switch {
	case s.over && s.err == nil:
		x.c.writeBy(time.Time{})
		x.t.idle.put(x.c)
	case s.over:
		x.c.close()
	case bodyErr != nil:
		// The upstream waits for the rest, and we for the upstream.
		x.c.cut()
	case err == nil && !s.answered && x.t.cfg.ResponseHeaderTimeout > 0:
		x.c.readBy(time.Now().Add(x.t.cfg.ResponseHeaderTimeout))
	}
}

// writeBody writes the body of a request. It tells apart whose fault a failure
// is.
func writeBody(c io.Writer, req *http.Request) (bodyErr, err error) {
	n := bodyLength(req)
	if n < 0 {
		return writeChunked(c, req.Body)
	}
	w := &exactly{w: c, left: n}
	if held, ok := req.Body.(io.WriterTo); ok {
		_, bodyErr = held.WriteTo(w)
	} else {
		bodyErr = w.copy(req.Body)
	}
	switch {
	case w.err != nil:
		return nil, w.err
	case bodyErr != nil:
		return bodyErr, nil
	case w.left > 0:
		return errShortBody, nil
	}
	return nil, nil
}

// An exactly writes so many bytes and no more.
type exactly struct {
	w    io.Writer
	left int64
	err  error // of w
}

func (e *exactly) Write(p []byte) (int, error) {
	if int64(len(p)) > e.left {
		return 0, errLongBody
	}
	n, err := e.w.Write(p)
	e.left -= int64(n)
	e.err = err
	return n, err
}

// copy copies body, piece by piece, and looks for its end.
func (e *exactly) copy(body io.Reader) error {
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for e.left > 0 {
		n, err := body.Read(buf[:min(e.left, largeBuffer)])
		if n > 0 {
			if _, err := e.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // readers return it bare
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ended(body)
}

// writeChunked writes a body of unknown length: one write for each read.
func writeChunked(c io.Writer, body io.Reader) (bodyErr, err error) {
	const before = len("7ffe\r\n")
	buf := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(buf)
	for {
		n, bodyErr := body.Read(buf[before : largeBuffer-2])
		if n > 0 {
			var size [before]byte
			line := append(strconv.AppendInt(size[:0], int64(n), 16), '\r', '\n')
			start := before - len(line)
			copy(buf[start:], line)
			end := before + n + copy(buf[before+n:], "\r\n")
			if _, err := c.Write(buf[start:end]); err != nil {
				return nil, err
			}
		}
		if bodyErr == io.EOF { //nolint:errorlint // readers return it bare
			_, err := io.WriteString(c, "0\r\n\r\n")
			return nil, err
		}
		if bodyErr != nil {
			return bodyErr, nil
		}
	}
}
