package chaos_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An ending is what a client must see of an attempt.
type ending int

const (
	whole  ending = iota // the answer
	broken               // the beginning of an answer that breaks off
	moves                // nothing: the next key is due
	loses                // likewise, and the connection is lost
)

// A fault is what an upstream does to a request.
type fault struct {
	name   string
	of     string // which keys: shaky or rude
	weight int
	ending ending
	act    func(*attempt) bool // reports whether the connection can go on
}

// none is what good keys do.
var none = fault{name: "none", of: good, act: serves}

// smuggled is an answer that nobody asked for.
const smuggled = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: smuggled\r\nContent-Length: 8\r\n\r\nsmuggled"

// faults are all that there are. The slow ones, which take a timeout, are rare.
var faults = append([]fault{
	{"none", shaky, 200, whole, serves},
	{"500", shaky, 15, moves, status(500, "", "")},
	{"502", shaky, 15, moves, status(502, "", "<html>")},
	{"503", shaky, 15, moves, status(503, "Retry-After: 1\r\n", "")},
	{"529", shaky, 15, moves, status(529, "", `{"type":"error","error":{"type":"overloaded_error"}}`)},
	{"half a 500, then a reset", shaky, 8, loses, partly(500, reset)},
	{"half a 500, then nothing", shaky, 1, moves, partly(500, holds)},
	{"reset before the body is read", shaky, 12, loses, reset},
	{"reset after the request", shaky, 12, loses, received(reset)},
	{"closed before the body is read", shaky, 12, loses, hangUp},
	{"closed after the request", shaky, 12, loses, received(hangUp)},
	{"no answer", shaky, 2, moves, received(holds)},
	{"body not read, no answer", shaky, 1, moves, func(a *attempt) bool { return a.hold() }},
	{"headers without end, a byte at a time", shaky, 1, moves, slowHeaders},
	{"half a header, then a reset", shaky, 10, loses, halfHeader(reset)},
	{"half a header, then closed", shaky, 10, loses, halfHeader(hangUp)},
	{"half a header, then nothing", shaky, 1, moves, halfHeader(holds)},
	{"headers of 300 KiB", shaky, 6, loses, received(func(a *attempt) bool {
		_ = a.send(a.head(200, "X-Large: "+strings.Repeat("x", 300<<10)+"\r\nContent-Length: 0\r\n\r\n")) // it may be refused on the way
		return a.hold()
	})},
	{"a header without end", shaky, 4, loses, forever("HTTP/1.1 200 OK\r\nX-Large: ", strings.Repeat("x", 8<<10), 0)},
	{"1xx without end", shaky, 4, loses, forever("", strings.Repeat("HTTP/1.1 102 Processing\r\nX-Some: thing\r\n\r\n", 100), 0)},
	{"no HTTP", shaky, 10, loses, received(garbage)},
	{"lengths that differ", shaky, 10, loses, received(func(a *attempt) bool {
		return a.send(a.head(200, "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef")) && a.hold()
	})},
	{"503 before the body is read", shaky, 10, loses, func(a *attempt) bool {
		text := a.errorText("")
		_ = a.send(a.head(503, fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text))) // it may be given up already
		return a.hold()
	}},

	{"a few 1xx, then the answer", shaky, 15, whole, received(func(a *attempt) bool {
		return a.answer("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+a.okHead(), "", "")
	})},
	{"slow headers, a byte at a time", shaky, 10, whole, received(func(a *attempt) bool {
		return a.drips(a.okHead()[:20], 5*time.Millisecond) && a.answer(a.okHead()[20:], "", "")
	})},
	{"headers of 100 KiB", shaky, 6, whole, received(func(a *attempt) bool {
		return a.answer(strings.Replace(a.okHead(), "\r\n", "\r\nX-Large: "+strings.Repeat("x", 100<<10)+"\r\n", 1), "", "")
	})},
	{"an answer before the body is read", shaky, 15, whole, early},
	{"an answer of HTTP/1.0", shaky, 10, whole, oldHTTP},
	{"trailers", shaky, 10, whole, received(func(a *attempt) bool { return a.answer(a.okHead(), "X-Trailer: t\r\n", "") })},
	{"an answer and another that nobody asked for", shaky, 20, whole, received(func(a *attempt) bool {
		return a.answer(a.okHead(), "", smuggled)
	})},
	{"closed after the answer", shaky, 15, whole, received(func(a *attempt) bool { _ = a.answer(a.okHead(), "", ""); return false })},
	{"closed while idle", shaky, 15, whole, received(func(a *attempt) bool {
		if !a.answer(a.okHead(), "", "") {
			return false
		}
		select {
		case <-a.watching:
			return true
		case <-time.After(time.Duration(a.p.n%20) * time.Millisecond):
			return false
		}
	})},

	{"half an event, then a reset", shaky, 10, broken, begins(reset)},
	{"half an event, then closed", shaky, 10, broken, begins(hangUp)},
	{"half an event, then nothing", shaky, 2, broken, begins(holds)},
	{"a chunk that is none", shaky, 10, broken, begins(badChunk)},
	{"a length that is too long", shaky, 10, broken, tooLong},
}, rudeness()...)

// rudeness are the faults that turn a key away. What an API says differs.
func rudeness() (all []fault) {
	add := func(name string, act func(*attempt) bool) { all = append(all, fault{name, rude, 10, moves, act}) }
	for _, header := range []string{
		"", "Retry-After: 1\r\n", "Retry-After: 0.5\r\n", "Retry-After-Ms: 300\r\n", "Retry-After: 0\r\n", "Retry-After: -7\r\n",
		"Retry-After: soon\r\n", "Retry-After: 31536000\r\n", "Retry-After: 99999999999999999999999\r\n",
		"Retry-After: 1\r\nRetry-After: 2\r\n",
	} {
		add("429 "+strings.TrimSpace(header), status(429, header, ""))
	}
	for _, wait := range []time.Duration{2 * time.Second, -time.Hour, 8760 * time.Hour} {
		add(fmt.Sprintf("429 with a date in %v", wait), func(a *attempt) bool {
			date := time.Now().Add(wait).UTC().Format(http.TimeFormat)
			return status(429, "Retry-After: "+date+"\r\n", "")(a)
		})
	}
	add("401", status(401, "", ""))
	add("402", status(402, "", ""))
	add("403", func(a *attempt) bool {
		return status(403, "", `{"error":{"type":"x","message":"`+map[string]string{"openai": "Incorrect API key provided", "anthropic": "This API key is disabled"}[a.u.api]+`"}}`)(a)
	})
	add("no credit", func(a *attempt) bool {
		if a.u.api == "openai" {
			return status(429, "Retry-After: 1\r\n", `{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}`)(a)
		}
		return status(400, "", `{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}`)(a)
	})
	return all
}

// only returns the faults of a table that end in one of the ways, and are quick.
func only(table []fault, endings ...ending) (some []fault) {
	for _, f := range table {
		if slices.Contains(endings, f.ending) && f.weight > 2 {
			some = append(some, f)
		}
	}
	return some
}

// halfHeader sends the half of a header.
func halfHeader(then func(*attempt) bool) func(*attempt) bool {
	return received(func(a *attempt) bool { return a.send(a.okHead()[:40]) && then(a) })
}

// slowHeaders never comes to the end of them.
func slowHeaders(a *attempt) bool {
	return a.receive() && a.send("HTTP/1.1 200 OK\r\n") && a.drips(strings.Repeat("X-Some: thing\r\n", 1000), 50*time.Millisecond) && a.hold()
}

// early answers while the request is still coming, and takes the rest of it then.
func early(a *attempt) bool {
	if a.p.leaves() || a.p.events > 0 { // those need the request to be read
		return serves(a)
	}
	return a.answer(a.okHead(), "", "") && a.receive()
}

// oldHTTP answers as HTTP/1.0 did: the end of the connection is that of the answer.
func oldHTTP(a *attempt) bool {
	if a.p.leaves() {
		return serves(a)
	}
	if a.receive() {
		a.bare = true
		head := strings.Replace(a.head(200, "\r\n"), "HTTP/1.1", "HTTP/1.0", 1)
		_ = a.body(head, a.p.answer(a.key.name), 1<<62, "") // the client sees whether it is whole
	}
	return false
}

// badChunk sends what should be a chunk, or more than was announced.
func badChunk(a *attempt) bool {
	if a.framed() {
		return a.reset()
	}
	return a.send("zz\r\n") && a.hold()
}

// tooLong announces more than it sends.
func tooLong(a *attempt) bool {
	if a.p.leaves() {
		return serves(a)
	}
	if a.receive() {
		a.bare = true
		size := max(a.p.body, int64(a.p.events*len(event("", 0))))
		_ = a.body(a.head(200, fmt.Sprintf("Content-Length: %d\r\n\r\n", size+10)), a.p.answer(a.key.name), 1<<62, "") // it breaks off either way
	}
	return false
}
