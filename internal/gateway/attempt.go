package gateway

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gatehousehq/gatehouse/internal/keypool"
	"github.com/gatehousehq/gatehouse/internal/routing"
	"github.com/gatehousehq/gatehouse/internal/secret"
	"github.com/gatehousehq/gatehouse/internal/transport"
	"github.com/gatehousehq/gatehouse/internal/upstream"
	"github.com/gatehousehq/gatehouse/internal/usage"
)

// maxErrorBody is how much of an error is read to find out what it means.
const maxErrorBody = 64 << 10

// attempt tries the provider's keys in turn until one gives an answer to relay,
// or none is left. It reports whether the client has its answer; it always has if
// there is no other target.
func (x *exchange) attempt() (answered bool) {
	x.note()
	if len(x.provider.Keys) == 0 {
		return x.try(nil, true, false)
	}
	turn := x.g.cfg.Pool.Order(x.provider, x.limitsOf())
	defer turn.End()
	n := turn.Len()
	if n == 0 {
		return x.nothingUsable(turn.Short)
	}
	if !x.body.replayable {
		n = 1
	}
	for i := range n {
		if x.try(turn.Key(i), i == n-1, false) {
			return true
		}
		if x.journey.leaving {
			break
		}
	}
	return false
}

// note writes down that the request goes out, once.
func (x *exchange) note() {
	if j := x.g.cfg.Journal; j != nil && !x.noted {
		x.noted = true
		x.ticket = j.Begin(&x.rec)
	}
}

// try sends the request once, with key if it is not nil. It reports whether the
// client has its answer; it always has after the last try with the last target.
// Last says that it is the last key, and again that it is the second try with it.
func (x *exchange) try(key *routing.Key, last, again bool) (answered bool) {
	cfg := &x.g.cfg
	t := tryState{x: x, key: key, last: last, again: again, began: cfg.Now(), index: len(x.rec.Attempts)}
	x.rec.Attempts = append(x.rec.Attempts, usage.Attempt{KeyID: t.keyID(), Began: t.began})
	defer t.finish()
	if key != nil && !again {
		defer cfg.Pool.Begin(key.ID).End()
	}
	if cfg.OnUse != nil {
		cfg.OnUse(x.token.ID, t.keyID(), t.began)
	}

	ctx := &attemptContext{Context: x.r.Context()}
	defer ctx.cancel()
	x.watch.attempt(ctx.cancel)
	req, err := t.request(ctx)
	if err != nil {
		return t.unsendable(err)
	}
	res, tunnel, err := x.roundTrip(req)
	if b := x.body.sent; b != nil {
		b.seal()
	}
	if errors.Is(err, transport.ErrNoUpgrade) {
		t.note().Outcome = usage.ClientError
		x.refuse(upgradeRefused)
		return true
	}
	if err != nil {
		return t.unanswered(err)
	}
	t.note().Status = res.StatusCode
	if tunnel != nil {
		defer func() { _ = tunnel.Close() }() // it never fails
		return t.opened(res, tunnel)
	}
	if x.dialect.Answer != nil {
		err = x.dialect.Answer(res)
	}
	defer res.Body.Close()
	if err != nil {
		return t.unanswered(err)
	}
	if res.StatusCode < 500 && res.StatusCode != http.StatusRequestTimeout {
		x.tellCircuit(true)
	}
	switch {
	case x.noSocket(res.StatusCode):
		t.note().Outcome = usage.ClientError
		x.refuse(upgradeRefused)
		return true
	case res.StatusCode < 200 || res.StatusCode >= 300 && res.StatusCode < 400:
		t.note().Outcome = usage.Redirect
		return x.pass(redirected, redirected.message, 0)
	case res.StatusCode < 300:
		switch err := x.translateAnswer(res); {
		case errors.Is(err, errNotTranslated):
			return t.strange()
		case err != nil:
			t.sent = true // whole, since it was answered
			return t.unanswered(err)
		}
		t.note().Outcome = usage.OK
		t.report(keypool.Outcome{Model: x.limitsOf()})
		x.relay(&t, res, nil)
		return true
	}
	return t.failed(res)
}

// A tryState is one attempt.
type tryState struct {
	x     *exchange
	key   *routing.Key // nil for a provider without keys
	last  bool
	again bool
	sent  bool // the request was written whole, and there was no answer
	began time.Time
	index int // in the record

	presented secret.Text // went up as a credential beside the key
	refused   func()      // is for telling that it was refused; may be nil
}

// note returns the attempt's place in the record.
func (t *tryState) note() *usage.Attempt { return &t.x.rec.Attempts[t.index] }

func (t *tryState) finish() {
	if n := t.note(); n.Duration == 0 {
		n.Duration = t.x.g.cfg.Now().Sub(t.began)
	}
}

func (t *tryState) keyID() string {
	if t.key == nil {
		return ""
	}
	return t.key.ID
}

func (t *tryState) report(o keypool.Outcome) {
	if t.key != nil {
		o.Began = t.began
		t.x.g.cfg.Pool.Report(t.key.ID, o)
	}
}

// request builds what is sent upstream. Each attempt gets its own: a transport
// may hold on to the last one.
func (t *tryState) request(ctx context.Context) (*http.Request, error) {
	x := t.x
	h := make(http.Header, len(x.r.Header)+len(x.provider.Headers)+len(x.provider.Added))
	query := x.r.URL.RawQuery
	if x.journey.translation != nil {
		x.translateHeaders(h)
		query = ""
	} else {
		x.g.requestHeaders.copyTo(h, x.r.Header)
		if v := h["Accept-Encoding"]; len(v) > 0 && x.endpoint != nil {
			h["Accept-Encoding"] = readable(v)
		}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // keeps net/http from putting in its own
	}
	if t.key != nil && x.dialect.Prepare == nil {
		x.dialect.SetCredential(h, t.key.Secret)
	}
	addHeaders(h, x.provider)
	if x.socket != nil {
		x.socket.ask(h)
	}
	req := noRequest.WithContext(ctx)
	req.Method, req.Header = x.r.Method, h
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	var err error
	if x.dialect.Prepare != nil {
		err = t.prepare(ctx, req, query)
	} else if req.URL, err = x.dialect.URL(x.provider.BaseURL, x.version+x.path, query); err == nil {
		req.URL.ForceQuery = x.r.URL.ForceQuery && x.journey.translation == nil
		x.body.attach(req, x.watch.answerLater)
	}
	if err != nil {
		return nil, err
	}
	req.Host = req.URL.Host
	return req, nil
}

// addHeaders sets what the settings of a provider add to each request.
func addHeaders(h http.Header, p *routing.Provider) {
	for name, value := range p.Headers {
		h.Set(name, value)
	}
	for name, value := range p.Added {
		h.Set(name, value.Reveal())
	}
}

// noRequest is for making requests with a context, without a copy of each.
var noRequest http.Request

// unanswered handles an attempt that no response came of.
func (t *tryState) unanswered(err error) (answered bool) {
	x := t.x
	if bad := x.clientFault(); bad != nil {
		t.note().Outcome = usage.ClientGone
		x.refuse(bad)
		return true
	}
	kind := kindOf(err)
	if x.watch.cancelled() {
		kind = kindTimeout
	}
	t.note().Outcome = string(kind)
	var failed *transport.Error
	reused := false
	if errors.As(err, &failed) {
		t.sent, reused = failed.Sent, failed.Reused
	}
	billed := t.mayBeBilled(kind)
	// Most likely the upstream closed a connection that it thought idle just when
	// the request went out. That is no failure of key or upstream.
	stale := kind == kindLost && reused && !t.again && x.body.replayable
	if !stale {
		x.tellCircuit(false)
	}
	switch {
	case billed && x.provider.NoReplay:
		// The client must not send it again by itself either.
		x.w.Header()["X-Should-Retry"] = []string{"false"}
	case stale:
		t.note().BilledTwice = billed
		t.finish()
		return x.try(t.key, t.last, true)
	case t.movesOn(causeOf(kind)):
		t.note().BilledTwice = billed
		return false
	}
	if kind == kindTimeout {
		x.refuse(timedOut)
	} else {
		x.answer(unreachable, unreachable.message+" "+kind.advice(), 0)
	}
	return true
}

// clientFault returns why the client is to blame for a failure, if it is.
func (x *exchange) clientFault() *refusal {
	if s := x.body.stream; s != nil {
		if err := s.failed(); err != nil {
			return x.bodyError(err)
		}
	}
	if x.r.Context().Err() != nil {
		return clientGone
	}
	return nil
}

// failed handles a response of status 400 or above.
func (t *tryState) failed(res *http.Response) (answered bool) {
	x := t.x
	x.watch.wait(forUpstream)
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err != nil {
		return t.unanswered(err)
	}
	text := plainText(res.Header.Get("Content-Encoding"), raw)
	verdict := x.dialect.Classify(res.StatusCode, text)
	means := meaningOf(verdict, res.StatusCode)
	t.note().Outcome = means.outcome
	if verdict == upstream.Unavailable {
		x.tellCircuit(false)
	}
	ask := x.dialect.Wait(res.Header, text, x.g.cfg.Now())
	if means.reason != "" {
		t.report(keypool.Outcome{Reason: means.reason, RetryAfter: ask, Status: res.StatusCode, Model: x.limitedModel()})
	}
	if t.movesOn(means.cause) {
		if t.last && means.reason == keypool.RateLimited {
			_, short := x.g.cfg.Pool.Shortage(x.provider.Keys, x.limitsOf())
			x.journey.waitFor(short.Wait)
		}
		return false
	}
	if t.lacksModel(res.StatusCode, text) {
		return false
	}
	if verdict == upstream.Refused && t.refused != nil {
		t.refused()
	}
	switch {
	case verdict == upstream.RateLimited, verdict == upstream.QuotaExhausted, verdict == upstream.Refused,
		// A 401 would tell the client that its own token is at fault.
		verdict == upstream.NotPermitted && res.StatusCode == http.StatusUnauthorized:
		t.turnedAway(verdict, ask)
	case t.shows(raw), t.shows(text):
		t.note().Outcome = usage.Leaked
		x.refuse(keyLeaked)
	case x.journey.translation != nil:
		replaceBody(res, x.journey.translation.Error(res.StatusCode, text))
		x.relay(t, res, nil)
	default:
		x.relay(t, res, raw)
	}
	return true
}

// turnedAway answers when the last key was refused on its own account.
func (t *tryState) turnedAway(verdict upstream.Verdict, ask time.Duration) {
	x := t.x
	if t.key == nil {
		switch verdict {
		case upstream.RateLimited:
			x.answer(rateLimited, rateLimited.message, ask)
		case upstream.Refused:
			if t.refused != nil {
				x.refuse(credentialsRefused)
				return
			}
			x.refuse(keyMissing)
		default:
			x.refuse(keysFailed)
		}
		return
	}
	usable, short := x.g.cfg.Pool.Shortage(x.provider.Keys, x.limitsOf())
	switch {
	case !t.last: // the settings of the provider keep it here
		x.answer(keyTurnedAway, keyFinal, max(ask, time.Second))
	case short.Cooling > 0:
		x.answer(rateLimited, rateLimited.message, short.Wait)
	case usable > 0 && !x.body.replayable:
		x.answer(keyTurnedAway, keyTurnedAway.message, time.Second)
	case verdict == upstream.RateLimited: // and a key has come free, or was tried in vain
		x.answer(rateLimited, rateLimited.message, time.Second)
	default:
		x.refuse(keysFailed)
	}
}

// nothingUsable goes on or answers when there are keys and none may be tried.
func (x *exchange) nothingUsable(short keypool.Shortage) (answered bool) {
	switch {
	case short.Cooling > 0:
		return x.pass(rateLimited, rateLimited.message, short.Wait)
	case short.Failed > 0:
		return x.pass(keysFailed, keysFailed.message, 0)
	default:
		var why []string
		if short.Disabled > 0 {
			why = append(why, "disabled")
		}
		if short.Expired > 0 {
			why = append(why, "expired")
		}
		if short.Unreadable > 0 {
			why = append(why, "unreadable")
		}
		return x.pass(noUsableKey, noUsableKey.message+" All are "+strings.Join(why, " or ")+".", 0)
	}
}

// leastSecret is the length from which a key is taken for a secret when errors
// are searched for it. Local servers are given keys such as "none".
const leastSecret = 8

// shows reports whether the text has the key in it, or a header that the settings
// add and that no client may send: it may be a credential as well.
func (t *tryState) shows(text []byte) bool {
	for name, value := range t.x.provider.Added {
		if value := value.Reveal(); len(value) >= leastSecret && !t.x.g.requestHeaders.has(name) && shown(text, value) {
			return true
		}
	}
	if token := t.presented.Reveal(); token != "" && shown(text, token) {
		return true
	}
	if t.key == nil {
		return false
	}
	key := t.key.Secret.Reveal()
	if len(key) >= leastSecret && shown(text, key) {
		return true
	}
	_, part, pair := strings.Cut(key, ":") // of AWS: what is before it is no secret
	return pair && len(part) >= leastSecret && shown(text, part)
}

// plainText undoes a content coding, as far as maxErrorBody. A coding that is
// not known gives nothing.
func plainText(coding string, raw []byte) []byte {
	var r io.Reader
	var err error
	switch strings.ToLower(coding) {
	case "", "identity":
		return raw
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(raw))
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(r, maxErrorBody)) // what there is of a text that is cut short will do
	return text
}
