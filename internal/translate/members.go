package translate

import (
	"github.com/tidwall/gjson"
)

// A rule is what happens to a member of a request. Null asks for nothing, and no
// rule looks at it.
type rule struct {
	name string
	how  fate
	// only, if onlyTo is set, is the one API that it is carried over to; to others
	// it is left out.
	only   API
	onlyTo bool
	// but, if butTo is set, is the one API that refuses it.
	but   API
	butTo bool
	// why is for what is left out or refused.
	why string
	// idle tells the values that ask for nothing, which are not refused.
	idle func(gjson.Result) bool
}

type fate uint8

const (
	carried fate = iota
	dropped
	refused
)

func carry(name string) rule { return rule{name: name} }

func carryTo(only API, name, why string) rule {
	return rule{name: name, only: only, onlyTo: true, why: why}
}

func carryBut(but API, name, why string) rule {
	return rule{name: name, but: but, butTo: true, why: why, idle: empty}
}

func drop(name, why string) rule { return rule{name: name, how: dropped, why: why} }

func refuse(name, why string) rule {
	return rule{name: name, how: refused, why: why, idle: empty}
}

func refuseUnless(name, why string, idle func(gjson.Result) bool) rule {
	return rule{name: name, how: refused, why: why, idle: idle}
}

// fate returns what happens on the way to an API.
func (r *rule) fate(to API) fate {
	switch {
	case r.onlyTo && to != r.only:
		return dropped
	case r.butTo && to == r.but:
		return refused
	}
	return r.how
}

// Values that ask for nothing.

func empty(v gjson.Result) bool {
	return v.Type == gjson.False || v.Raw == `""` || v.IsArray() && len(v.Array()) == 0 || v.IsObject() && len(v.Map()) == 0
}

func isOne(v gjson.Result) bool { return v.Type == gjson.Number && v.Num == 1 }

func isZero(v gjson.Result) bool { return v.Type == gjson.Number && v.Num == 0 || empty(v) }

func isText(v gjson.Result) bool {
	for _, m := range v.Array() {
		if m.Str != "text" {
			return false
		}
	}
	return v.IsArray()
}

const (
	account  = "it is for the books of the vendor that it was meant for"
	sampling = "it is a hint for how words are chosen, which the other API does not have"
	caching  = "it steers a cache and not the answer"
	speed    = "it changes when the answer comes and what it costs, not what it says"
	hosted   = "it needs what the other vendor runs"
	state    = "it refers to what another server has stored"
	spread   = "there is one answer"
	stops    = "it has no stop sequences"
	odds     = "there are no log probabilities"
)

// rules has the members of the requests of each API. Whatever is in none of them
// is refused: it may well be meant seriously.
var rules = [apis][]rule{
	Chat: {
		carry("model"), carry("messages"), carry("max_tokens"), carry("max_completion_tokens"), carry("temperature"), carry("top_p"),
		carryBut(Responses, "stop", stops), carry("stream"), carry("stream_options"), carry("tools"), carry("tool_choice"), carry("parallel_tool_calls"),
		carry("response_format"), carry("reasoning_effort"),
		carryTo(Messages, "thinking", "it is Anthropic's"), carryTo(Messages, "top_k", sampling), carryTo(Messages, "cache_control", caching),
		drop("frequency_penalty", sampling), drop("presence_penalty", sampling), drop("repetition_penalty", sampling), drop("min_p", sampling), drop("seed", sampling),
		drop("metadata", account), drop("user", account), drop("safety_identifier", account), drop("store", account),
		drop("prompt_cache_key", caching), drop("prompt_cache_retention", caching), drop("prompt_cache_options", caching),
		drop("service_tier", speed), drop("prediction", speed),
		drop("verbosity", "it is a hint for how long the answer is"),
		refuseUnless("n", spread, isOne), refuse("logprobs", odds), refuseUnless("top_logprobs", odds, isZero),
		refuse("logit_bias", "words cannot be ruled in or out"),
		refuse("audio", "there is no audio"), refuseUnless("modalities", "there is only text", isText),
		refuse("web_search_options", hosted), refuse("moderation", hosted),
		refuse("functions", "it is out of date: use tools"), refuse("function_call", "it is out of date: use tool_choice"),
	},
	Responses: {
		carry("model"), carry("input"), carry("instructions"), carry("max_output_tokens"), carry("temperature"), carry("top_p"),
		carry("stream"), carry("tools"), carry("tool_choice"), carry("parallel_tool_calls"), carry("text"), carry("reasoning"), carry("include"),
		drop("metadata", account), drop("client_metadata", account), drop("user", account), drop("safety_identifier", account),
		drop("store", "nothing is stored"),
		drop("prompt_cache_key", caching), drop("prompt_cache_retention", caching), drop("prompt_cache_options", caching),
		drop("service_tier", speed), drop("stream_options", "it is about padding"), drop("access_programs", account),
		drop("max_tool_calls", "it is about tools that the vendor runs"),
		refuseUnless("truncation", "nothing is cut out of a conversation", func(v gjson.Result) bool { return v.Str == "disabled" }),
		refuse("context_management", "nothing is cut out of a conversation"),
		refuse("previous_response_id", state+": send the conversation in input"), refuse("conversation", state), refuse("prompt", state),
		refuse("background", state), refuseUnless("top_logprobs", odds, isZero),
		refuse("moderation", hosted), refuse("image", hosted),
	},
	Messages: {
		carry("model"), carry("messages"), carry("system"), carry("max_tokens"), carry("temperature"), carry("top_p"), carryBut(Responses, "stop_sequences", stops),
		carry("stream"), carry("tools"), carry("tool_choice"), carry("thinking"), carry("output_config"), carry("output_format"),
		drop("top_k", sampling), drop("cache_control", caching),
		drop("metadata", account), drop("user_profile_id", account), drop("service_tier", speed), drop("speed", speed), drop("inference_geo", account),
		drop("diagnostics", caching),
		drop("context_management", "nothing is cut out of a conversation, so that there is more of it"),
		drop("compaction", "nothing is cut out of a conversation, so that there is more of it"),
		drop("fallbacks", "which models take over is the route's to say"), drop("fallback_credit_token", account),
		refuse("container", hosted), refuse("mcp_servers", hosted),
	},
}

// members returns the members of a request that are carried over. Names of
// members that are not known are those of the client, and repeated only if they
// are plain.
func members(client, upstream API, doc gjson.Result) (map[string]gjson.Result, error) {
	top := make(map[string]gjson.Result, 16)
	seen := make(map[string]bool, 16)
	var err error
	doc.ForEach(func(name, v gjson.Result) bool {
		if seen[name.Str] {
			err = errNotJSON
			return false
		}
		seen[name.Str] = true
		if v.Type == gjson.Null {
			return true
		}
		r := ruleOf(client, name.Str)
		switch {
		case r == nil:
			err = cannot(printable(name.Str), upstream, "it is not known here")
		case r.fate(upstream) == carried:
			top[r.name] = v
		case r.fate(upstream) == refused && !r.idle(v):
			err = cannot(r.name, upstream, r.why)
		}
		return err == nil
	})
	return top, err
}

func ruleOf(client API, name string) *rule {
	for i := range rules[client] {
		if r := &rules[client][i]; r.name == name {
			return r
		}
	}
	return nil
}

// printable returns a name of a client's if it looks like one.
func printable(name string) string {
	if len(name) > 40 || name == "" {
		return "A member"
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && c != '_' {
			return "A member"
		}
	}
	return name
}
