package chaos_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// head is the head of an answer: status and headers that say whose it is.
func (a *attempt) head(status int, header string) string {
	media := "application/json"
	if status == http.StatusOK && a.p.events > 0 {
		media = "text/event-stream"
	}
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nX-Request-Id: %s/%s\r\nSet-Cookie: a=b\r\n%s",
		status, http.StatusText(status), media, a.p.nonce, a.key.name, header)
}

func (a *attempt) okHead() string {
	if a.framed() {
		return a.head(http.StatusOK, fmt.Sprintf("Content-Length: %d\r\n\r\n", a.p.body))
	}
	return a.head(http.StatusOK, "Transfer-Encoding: chunked\r\n\r\n")
}

// framed reports whether the body goes as it is, and not in chunks.
func (a *attempt) framed() bool { return a.bare || a.p.framed && a.p.events == 0 }

// serves answers as one should.
func serves(a *attempt) bool {
	switch {
	case !a.receive():
		return false
	case a.h2 != nil:
		return a.framedAnswer()
	}
	return a.answer(a.okHead(), "", "")
}

// answer sends a head and the whole answer, with a trailer if it is in chunks.
// What is to come after it goes out together with its end.
func (a *attempt) answer(head, trailer, after string) bool {
	switch a.p.behaviour {
	case leavesWaiting:
		return a.hold()
	case leavesAtHead:
		_ = a.send(head) // whoever left already is waited for all the same
		return a.hold()
	}
	if !a.framed() {
		after = "0\r\n" + trailer + "\r\n" + after
	}
	if !a.body(head, a.p.answer(a.key.name), 1<<62, after) {
		return false
	}
	if a.p.behaviour == leavesReading {
		a.wrong(untold, "it was answered to the end, and the client had left")
	}
	return true
}

// body sends a head and the first bytes of an answer, in the pieces that it comes
// in, and what is to come after that.
func (a *attempt) body(head string, answer io.Reader, most int64, after string) bool {
	size := 32 << 10
	if a.p.events > 0 {
		size = len(event("", 0))
	}
	buf := make([]byte, size)
	for pending := head; ; {
		n, err := answer.Read(buf[:min(int64(len(buf)), most)])
		if most -= int64(n); n > 0 && a.framed() {
			pending += string(buf[:n])
		} else if n > 0 {
			pending += fmt.Sprintf("%x\r\n%s\r\n", n, buf[:n])
		}
		if err != nil || most == 0 {
			return a.send(pending + after)
		}
		if !a.send(pending) {
			return false
		}
		pending = ""
		if a.p.pause > 0 {
			select {
			case <-time.After(a.p.pause):
			case <-a.watching:
				return false
			}
		}
	}
}

// status answers with an error of that kind.
func status(code int, header, body string) func(*attempt) bool {
	return func(a *attempt) bool {
		if !a.receive() {
			return false
		}
		text := a.errorText(body)
		return a.send(a.head(code, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", header, len(text), text)))
	}
}

func (a *attempt) errorText(body string) string {
	if body == "" {
		body = `{"error":{"type":"x","message":"y"}}`
	}
	of := a.p.nonce + "/" + a.key.name
	if start, ok := strings.CutSuffix(body, "}"); ok {
		return start + `,"of":"` + of + `"}`
	}
	return body + of
}

// partly sends half of an error and then does something else.
func partly(code int, then func(*attempt) bool) func(*attempt) bool {
	return func(a *attempt) bool {
		return a.receive() && a.send(a.head(code, "Content-Length: 1000\r\n\r\n{\"error\":")) && then(a)
	}
}

// begins sends an answer as far as the middle of an event, and then does
// something else.
func begins(then func(*attempt) bool) func(*attempt) bool {
	return func(a *attempt) bool {
		if !a.receive() {
			return false
		}
		half := int64(len(event("", 0))) / 2
		if a.p.events == 0 {
			half = a.p.body / 2
		}
		head := a.okHead()
		if half == 0 { // of one byte there is no half
			return a.send(head) && then(a)
		}
		return a.body(head, a.p.answer(a.key.name), half, "") && then(a)
	}
}

// received does something when the whole request is there.
func received(then func(*attempt) bool) func(*attempt) bool {
	return func(a *attempt) bool { return a.receive() && then(a) }
}

func reset(a *attempt) bool   { return a.reset() }
func hangUp(*attempt) bool    { return false }
func holds(a *attempt) bool   { return a.hold() }
func garbage(a *attempt) bool { return a.send("220 this is no HTTP\r\n\r\n") && a.hold() }

// drips sends what it is given one byte at a time.
func (a *attempt) drips(s string, pause time.Duration) bool {
	for i := range len(s) {
		if !a.send(s[i : i+1]) {
			return false
		}
		select {
		case <-time.After(pause):
		case <-a.watching:
			return false
		}
	}
	return true
}

// forever sends the same again and again, until the gateway has enough.
func forever(first, again string, pause time.Duration) func(*attempt) bool {
	return func(a *attempt) bool {
		if !a.receive() {
			return false
		}
		end := time.Now().Add(givenUp)
		for ok := a.send(first); ok; ok = a.send(again) {
			if time.Now().After(end) {
				a.wrong(untold, "%v of %q were taken", givenUp, again[:8])
				return false
			}
			if pause > 0 {
				select {
				case <-time.After(pause):
				case <-a.watching:
					return false
				}
			}
		}
		return false
	}
}
