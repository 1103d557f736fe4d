package translate

import (
	"strconv"
)

// An answer comes as events, whether it is streamed or not: begin, then block by
// block open, more and shut, then finish and done. After fail nothing comes.
type event struct {
	kind eventKind
	// id and model are of begin.
	id, model lit
	// block is that of open.
	block block
	// text is what more of an open block there is.
	text lit
	// stop, sequence and usage are of finish.
	stop     stop
	sequence lit
	usage    usage
	failure  failure
}

type eventKind uint8

const (
	begin eventKind = iota
	open
	more      // text of the block
	signature // of a thought
	shut
	finish
	done
	ping
	fail
)

// A block is a piece of an answer: text, a thought, a redacted one, a refusal or
// a call.
type block struct {
	kind     kind
	id, name lit
}

// A stop is why an answer ends.
type stop uint8

const (
	endTurn stop = iota
	maxTokens
	stopSequence
	calls
	refuses  // the model, in its words
	filtered // by the vendor
)

// usage is what was used, as OpenAI counts: input is all of it.
type usage struct {
	known                                           bool
	input, cacheRead, cacheWrite, output, reasoning int64
}

// A sink takes the events of an answer.
type sink interface{ take(event) }

// An answer collects the events of a whole one.
type answer struct {
	id, model lit
	blocks    []built
	stop      stop
	sequence  lit
	usage     usage
}

// built is a block with what came for it.
type built struct {
	block
	said, signature []byte
}

func (b *built) text() lit { return lit(b.said) }

// arguments returns those of a call: one without any has an empty object.
func (b *built) arguments() lit {
	if len(b.said) == 0 {
		return "{}"
	}
	return b.text()
}

// take collects an event.
func (a *answer) take(e event) {
	n := len(a.blocks)
	switch e.kind {
	case begin:
		a.id, a.model = e.id, e.model
	case open:
		a.blocks = append(a.blocks, built{block: e.block})
	case more:
		if n > 0 {
			a.blocks[n-1].said = append(a.blocks[n-1].said, e.text...)
		}
	case signature:
		if n > 0 {
			a.blocks[n-1].signature = append(a.blocks[n-1].signature, e.text...)
		}
	case finish:
		a.stop, a.sequence, a.usage = e.stop, e.sequence, e.usage
	case shut, done, ping, fail:
	}
}

// whole gives a block with all of its text.
func whole(to sink, b block, said lit) {
	to.take(event{kind: open, block: b})
	if said != "" {
		to.take(event{kind: more, text: said})
	}
	to.take(event{kind: shut})
}

// withCalls returns why an answer ends: with calls it is for their results,
// whatever the upstream says. OpenAI says stop where the tool was forced.
func withCalls(s stop, called bool) stop {
	if called && s == endTurn {
		return calls
	}
	return s
}

// idOr returns an id, or the one that the options have.
func (o *Options) idOr(id lit) lit {
	if id != "" {
		return id
	}
	return lit("gen-" + o.ID)
}

// madeID returns an id for the call number n of an answer, whose upstream gave
// it none.
func (o *Options) madeID(n int) lit {
	return lit("call_" + o.ID + "_" + strconv.Itoa(n))
}
