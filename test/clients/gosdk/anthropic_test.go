package gosdk_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

func messageParams() anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: claudeModel, MaxTokens: 100, System: []anthropic.TextBlockParam{{Text: "be brief"}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(said))},
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	client := claude(t, "anthropic", "")
	var res *http.Response
	got, err := client.Messages.New(t.Context(), messageParams(), option.WithResponseInto(&res))
	if err != nil {
		t.Fatal(err)
	}
	checkHeaders(t, res, "Request-Id")
	if got.Content[0].Text != echo || got.StopReason != anthropic.StopReasonEndTurn || got.Usage.InputTokens != 4 || got.Usage.OutputTokens != echoTokens {
		t.Errorf("got %s", got.RawJSON())
	}
}

func TestMessageStreamed(t *testing.T) {
	t.Parallel()
	client := claude(t, "anthropic", "")
	var res *http.Response
	stream := client.Messages.NewStreaming(t.Context(), messageParams(), option.WithResponseInto(&res))
	defer stream.Close()
	var got anthropic.Message
	words := 0
	for stream.Next() {
		event := stream.Current()
		if err := got.Accumulate(event); err != nil {
			t.Fatal(err)
		}
		if event.Type == "content_block_delta" {
			words++
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	checkHeaders(t, res, "Request-Id")
	if got.Content[0].Text != echo || words != echoTokens || got.StopReason != anthropic.StopReasonEndTurn || got.Usage.OutputTokens != echoTokens {
		t.Errorf("got %q in %d words, %s, %d tokens", got.Content[0].Text, words, got.StopReason, got.Usage.OutputTokens)
	}
}

func TestCountTokens(t *testing.T) {
	t.Parallel()
	client := claude(t, "anthropic", "")
	got, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{Model: claudeModel, Messages: messageParams().Messages})
	if err != nil || got.InputTokens != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnthropicModels(t *testing.T) {
	t.Parallel()
	client := claude(t, "anthropic", "")
	got, err := client.Models.Get(t.Context(), claudeModel, anthropic.ModelGetParams{})
	if err != nil || got.ID != claudeModel {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAnthropicErrors(t *testing.T) {
	t.Parallel()
	none := messageParams()
	none.Messages = []anthropic.MessageParam{}
	for _, c := range []struct {
		name, provider, token string
		params                anthropic.MessageNewParams
		status                int
		kind                  anthropic.ErrorType
		own                   bool
	}{
		{"a bad token is refused", "anthropic", badToken, messageParams(), http.StatusUnauthorized, anthropic.ErrorTypeAuthenticationError, true},
		{"a bad token learns nothing about providers", "nowhere", badToken, messageParams(), http.StatusUnauthorized, anthropic.ErrorTypeAuthenticationError, true},
		{"an unknown provider is not found", "nowhere", "", messageParams(), http.StatusNotFound, anthropic.ErrorTypeNotFoundError, true},
		{"a provider's own 400 passes as it is", "anthropic", "", none, http.StatusBadRequest, anthropic.ErrorTypeInvalidRequestError, false},
	} {
		for _, streamed := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				client := claude(t, c.provider, c.token)
				var err error
				if streamed {
					stream := client.Messages.NewStreaming(t.Context(), c.params)
					defer stream.Close()
					for stream.Next() {
						t.Error("an event comes before the error")
					}
					err = stream.Err()
				} else {
					_, err = client.Messages.New(t.Context(), c.params)
				}
				var got *anthropic.Error
				if !errors.As(err, &got) {
					t.Fatalf("the SDK has no type for %v", err)
				}
				if got.StatusCode != c.status || got.Type() != c.kind {
					t.Errorf("got %d, type %q: %s", got.StatusCode, got.Type(), got.RawJSON())
				}
				if strings.Contains(got.RawJSON(), badToken) {
					t.Error("the error carries what was sent")
				}
				if c.own {
					checkOwn(t, got.Response)
				} else {
					checkHeaders(t, got.Response, "Request-Id")
				}
			})
		}
	}
}

func TestAnthropicCancellation(t *testing.T) {
	t.Parallel()
	client := claude(t, "slow-anthropic", "")
	ctx, cancel := context.WithCancel(t.Context())
	stream := client.Messages.NewStreaming(ctx, messageParams())
	defer stream.Close()
	if !stream.Next() {
		t.Fatalf("the stream does not begin: %v", stream.Err())
	}
	cancel()
	for stream.Next() { // what had arrived by then
		if stream.Current().Type == "content_block_delta" {
			t.Error("the stream goes on")
		}
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
