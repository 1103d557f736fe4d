package gateway

import "net/http"

// A refusal is an answer of the gateway's own. Its message is for the person in
// front of the client: it says what to do, and carries nothing that was sent.
type refusal struct {
	status  int
	code    string // for dialects that have one
	reason  string // for logs and records
	message string
}

// keyFinal is the message of keyTurnedAway where the request could have gone on.
const keyFinal = "The provider turned away the key that was tried, and its settings keep requests from going on to another. Send it again."

// Every refusal there is.
var (
	noToken = &refusal{
		http.StatusUnauthorized, "invalid_api_key", "no_token",
		"No Gatehouse token was sent. Send one as \"Authorization: Bearer gate_…\" or in the x-api-key header; a token in the URL is not accepted.",
	}
	notOurToken = &refusal{
		http.StatusUnauthorized, "invalid_api_key", "foreign_token",
		"The credential that was sent is not a Gatehouse token: those begin with \"gate_\". Keys of the provider itself are not accepted here.",
	}
	malformedToken = &refusal{
		http.StatusUnauthorized, "invalid_api_key", "malformed_token",
		"The Gatehouse token is incomplete or mistyped: its checksum does not match. Copy it again, whole.",
	}
	ambiguousToken = &refusal{
		http.StatusUnauthorized, "invalid_api_key", "ambiguous_token",
		"Several credentials were sent and they differ. Send one Gatehouse token, in one header.",
	}
	unknownToken = &refusal{
		http.StatusUnauthorized, "invalid_api_key", "unknown_token",
		"This Gatehouse token is not known here. It may have been revoked, or belong to another Gatehouse.",
	}
	expiredToken = &refusal{
		http.StatusUnauthorized, "invalid_api_key", "expired_token",
		"This Gatehouse token has expired. Ask for a new one.",
	}
	noGatewayUse = &refusal{
		http.StatusForbidden, "", "no_gateway_use",
		"This token may not use the gateway: its owner or its scopes lack gateway:use.",
	}
	tokenInURL = &refusal{
		http.StatusBadRequest, "", "credential_in_url",
		"A credential in the URL is not accepted, since URLs end in logs. Remove the \"key\" parameter and send the Gatehouse token in a header.",
	}
	badPath = &refusal{
		http.StatusBadRequest, "", "bad_path",
		"This path is not accepted: it has an empty or dot segment, an encoded dot, slash or percent sign, or a character that does not belong in a path.",
	}
	noPath = &refusal{
		http.StatusNotFound, "", "no_path",
		"There is nothing at this path. Paths are /ai/{provider}/v1/…, or /v1beta/… for Gemini; a base URL ends in /ai/{provider}/v1 for OpenAI clients and in /ai/{provider} for those of Anthropic and Gemini.",
	}
	reservedPath = &refusal{
		http.StatusNotFound, "", "reserved_path",
		"This path is reserved and serves nothing. Name a provider: /ai/{provider}/v1/….",
	}
	noSharedPath = &refusal{
		http.StatusNotFound, "", "no_path",
		"There is nothing at this path of the URL for all providers. It has chat/completions, responses, responses/input_tokens, completions, embeddings, messages, messages/count_tokens and models; all else is at /ai/{provider}/v1/….",
	}
	sharedUnreadable = &refusal{
		http.StatusBadRequest, "", "model_unreadable",
		"At this URL the model says where a request goes, so the body must be plain JSON (application/json, UTF-8, no Content-Encoding) with exactly one top-level \"model\".",
	}
	sharedTooLarge = &refusal{
		http.StatusRequestEntityTooLarge, "", "body_not_held",
		"The request is too large for this URL, where it must be held in memory. Name the provider in the URL: /ai/{provider}/v1/….",
	}
	noBodyMemory = &refusal{
		http.StatusTooManyRequests, "rate_limit_exceeded", "body_memory",
		"The gateway holds as many requests in memory as it may at the moment. Send it again.",
	}
	noModel = &refusal{
		http.StatusNotFound, "model_not_found", "no_model",
		"There is no such model here for this token. At this URL a model is provider/model, or the name of a route; GET /ai/v1/models lists what is known.",
	}
	routeDisabled = &refusal{
		http.StatusServiceUnavailable, "", "route_disabled",
		"This route is disabled. An operator can enable it.",
	}
	noSpeaker = &refusal{
		http.StatusBadRequest, "", "no_speaker",
		"This route has no target that speaks this API or can be translated to it, or this provider does not and cannot: ask for another model, or use the API that it speaks.",
	}
	badQuery = &refusal{
		http.StatusBadRequest, "", "bad_query",
		"The query has a parameter that chooses a credential, an account or another form of the answer. Remove it; a Gatehouse token goes in a header.",
	}
	noProvider = &refusal{
		http.StatusNotFound, "", "no_provider",
		"There is no provider of this name for this token.",
	}
	providerDisabled = &refusal{
		http.StatusServiceUnavailable, "", "provider_disabled",
		"This provider is disabled. An operator can enable it.",
	}
	providerFault = &refusal{
		http.StatusServiceUnavailable, "", "provider_fault",
		"This provider cannot be served as it is configured. An operator can see why in its settings.",
	}
	badMethod = &refusal{
		http.StatusMethodNotAllowed, "", "bad_method",
		"The gateway does not pass this HTTP method.",
	}
	// Codex tries WebSocket first. At 426 it goes on over HTTP at once; at 501
	// it tries seven times before it does.
	upgradeRefused = &refusal{
		http.StatusUpgradeRequired, "", "upgrade",
		"There is no WebSocket here. Use the HTTP form of this API.",
	}
	badSocket = &refusal{
		http.StatusBadRequest, "", "bad_websocket",
		"This is not the handshake of a WebSocket: it takes version 13, a key of 16 bytes, and no body.",
	}
	foreignOrigin = &refusal{
		http.StatusForbidden, "", "foreign_origin",
		"A page of another origin cannot open a WebSocket here.",
	}
	noPassthrough = &refusal{
		http.StatusForbidden, "", "no_passthrough",
		"This method and path are outside inference. They need a token with the scope gateway:passthrough.",
	}
	modelUnknowable = &refusal{
		http.StatusForbidden, "", "model_unknown",
		"This token is limited to certain models, and this request names none that can be checked.",
	}
	modelDenied = &refusal{
		http.StatusForbidden, "", "model_denied",
		"This token is limited to certain models, and the model asked for is not among them.",
	}
	bodyUnreadable = &refusal{
		http.StatusForbidden, "", "model_unreadable",
		"This token is limited to certain models, so the body must be plain JSON (application/json, UTF-8, no Content-Encoding) with exactly one top-level \"model\".",
	}
	bodyTooLarge = &refusal{
		http.StatusForbidden, "", "model_too_large",
		"This token is limited to certain models, and the body is too large to be checked for its model.",
	}
	pathDenied = &refusal{
		http.StatusForbidden, "", "path_not_served",
		"This provider is limited to certain paths by its settings, and this is not one of them.",
	}
	modelNotSaid = &refusal{
		http.StatusForbidden, "", "model_unknown",
		"This provider is limited to certain models by its settings, and this request names none that can be checked.",
	}
	modelNotServed = &refusal{
		http.StatusForbidden, "", "model_not_served",
		"This provider is limited to certain models by its settings, and the model asked for is not among them.",
	}
	bodyNotPlain = &refusal{
		http.StatusForbidden, "", "model_unreadable",
		"This provider is limited to certain models by its settings, so the body must be plain JSON (application/json, UTF-8, no Content-Encoding) with exactly one top-level \"model\".",
	}
	bodyNotChecked = &refusal{
		http.StatusForbidden, "", "model_too_large",
		"This provider is limited to certain models by its settings, and the body is too large to be checked for its model.",
	}
	bodyStalled = &refusal{
		http.StatusRequestTimeout, "", "body_stalled",
		"The request body stopped arriving.",
	}
	bodyBroken = &refusal{
		http.StatusBadRequest, "", "body_broken",
		"The request body could not be read.",
	}
	bodyNotHeld = &refusal{
		http.StatusRequestEntityTooLarge, "", "body_not_held",
		"The request is too large: this provider is reached in another way than its clients speak, and the body must be held in memory for that.",
	}
	// notForUpstream has the status and message of an upstream.RequestError.
	notForUpstream = &refusal{http.StatusBadRequest, "", "not_for_provider", ""}
	clientGone     = &refusal{statusClientGone, "", "client_gone", ""}

	rateLimited = &refusal{
		http.StatusTooManyRequests, "rate_limit_exceeded", "rate_limited",
		"Every usable key of this provider is rate limited at the moment, as a whole or for this model. Retry-After says when the first is free again.",
	}
	keyTurnedAway = &refusal{
		http.StatusTooManyRequests, "rate_limit_exceeded", "rate_limited",
		"The provider turned away the key that was tried, and the request is too large to be sent again with another. Send it again.",
	}
	tokenRate = &refusal{
		http.StatusTooManyRequests, "rate_limit_exceeded", "token_rate",
		"This Gatehouse token has used up the requests that it may send in a minute. Retry-After says when it may send the next.",
	}
	tokenBusy = &refusal{
		http.StatusTooManyRequests, "rate_limit_exceeded", "token_concurrency",
		"This Gatehouse token has as many requests under way as it may have at a time. Send it again when one of them is over.",
	}
	providerBusy = &refusal{
		http.StatusTooManyRequests, "rate_limit_exceeded", "provider_concurrency",
		"As many requests to this provider are under way as its settings allow at a time. Send it again.",
	}
	circuitOpen = &refusal{
		http.StatusServiceUnavailable, "", "circuit_open",
		"The provider has not answered the last requests, so this one was not sent. Retry-After says when it is tried again.",
	}
	noUsableKey = &refusal{
		http.StatusServiceUnavailable, "", "no_usable_key",
		"This provider has no usable key.",
	}
	keysFailed = &refusal{
		http.StatusBadGateway, "", "keys_failed",
		"No key that is configured for this provider works at the moment: the provider refuses them, or they have no credit left. An operator can see which.",
	}
	keyMissing = &refusal{
		http.StatusBadGateway, "", "key_missing",
		"The provider asks for a key, and none is configured for it.",
	}
	noCredentials = &refusal{
		http.StatusServiceUnavailable, "", "no_credentials",
		"The gateway has no AWS credentials for this provider at the moment. An operator can see why where the provider is shown, and in the log.",
	}
	credentialsRefused = &refusal{
		http.StatusBadGateway, "", "credentials_refused",
		"The provider refuses the AWS credentials that the gateway has for it.",
	}
	keyLeaked = &refusal{
		http.StatusBadGateway, "", "key_in_response",
		"The provider answered with an error that shows its key, or a header of its settings, so the answer is withheld.",
	}
	redirected = &refusal{
		http.StatusBadGateway, "", "redirected",
		"The provider answered with a redirect, and those are not followed. An operator should check its base_url: the scheme, and whether /v1 belongs to it.",
	}
	strangeAnswer = &refusal{
		http.StatusBadGateway, "", "answer_unreadable",
		"The provider answered with something that is not of the API that it should speak, and cannot be translated.",
	}
	unreachable = &refusal{
		http.StatusBadGateway, "", "unreachable",
		"The provider could not be reached.",
	}
	timedOut = &refusal{
		http.StatusGatewayTimeout, "", "timeout",
		"The provider did not answer in time.",
	}
	internalError = &refusal{
		http.StatusInternalServerError, "", "internal_error",
		"Something went wrong inside the gateway. The request id finds it in the log.",
	}
)
