package chaos_test

import (
	"slices"
	"strings"
)

// judge holds what a client saw against what the upstreams did.
func (w *world) judge(p *plan, o outcome) {
	if o.left {
		// The upstreams may yet see it: see leftovers.
		w.judgeWhose(p, o)
		return
	}
	seen := w.ledger.close(p.n)
	wrong := func(k kind, what string) {
		w.wrong.add(k, "%s to %s: %s; status %d, %d bytes, error %v, %s; %s", p.nonce, w.providerOf(p).name, what, o.status, o.size, o.err, clip(o.body), path(seen))
	}
	w.judgeWhose(p, o)
	var last sighting
	if len(seen) > 0 {
		last = seen[len(seen)-1]
	}
	relayed := o.from != ""
	late := o.late || slices.ContainsFunc(seen, func(s sighting) bool { return s.late })
	switch {
	case o.differ != nil:
		wrong(o.kind, o.differ.Error())
	case relayed && o.from != p.nonce+"/"+last.key.name:
		wrong(mixed, "the answer is of "+o.from)
	case late:
		w.count.late.Add(1)
	case relayed && o.status < 300:
		w.judgeAnswer(last, o, wrong)
	case !p.replayable(): // it had one chance
		w.judgeOnce(last, o, relayed, len(seen), wrong)
	case o.status == 0 && last.fault != nil && last.fault.ending == broken: // not even the head came through
	default:
		wrong(failed, "it has no answer")
	}
}

// judgeWhose holds that what came of an answer belongs to the request.
func (w *world) judgeWhose(p *plan, o outcome) {
	if nonce, _, _ := strings.Cut(o.from, "/"); o.from != "" && nonce != p.nonce {
		w.wrong.add(mixed, "%s got an answer of %s", p.nonce, o.from)
	}
	if o.left && o.differ != nil {
		w.wrong.add(o.kind, "%s: %v", p.nonce, o.differ)
	}
}

// judgeAnswer is for a success that began to be relayed.
func (w *world) judgeAnswer(last sighting, o outcome, wrong func(kind, string)) {
	switch last.fault.ending {
	case whole:
		if o.err != nil {
			wrong(cut, "the upstream sent it whole")
			return
		}
		w.count.answered.Add(1)
	case broken:
		if o.ended {
			wrong(cleanEnd, "it is not whole")
			return
		}
		w.count.broken.Add(1)
	default:
		wrong(failed, "it got what was no answer")
	}
}

// judgeOnce is for a request that is too large to be sent again.
func (w *world) judgeOnce(last sighting, o outcome, relayed bool, seen int, wrong func(kind, string)) {
	switch {
	case last.fault != nil && last.fault.ending == whole:
		wrong(failed, "it was answered")
	case seen > 1:
		wrong(twice, "it cannot be sent again")
	case o.status == 0 && (last.fault == nil || last.fault.ending != broken):
		wrong(failed, "it has no answer at all")
	case relayed && o.ended && !strings.Contains(string(o.body), o.from):
		wrong(mixed, "the error is another's")
	default:
		w.count.once.Add(1)
	}
}

// leftovers looks at the requests whose clients left, when it is over.
func (w *world) leftovers() {
	for n, seen := range w.ledger.left() {
		p := w.planner.plan(n)
		if !p.leaves() {
			w.wrong.add(twice, "%s was seen that nobody sent: %s", p.nonce, path(seen))
		}
		if !p.replayable() && len(seen) > 1 {
			w.wrong.add(twice, "%s is too large to be sent again: %s", p.nonce, path(seen))
		}
	}
}
