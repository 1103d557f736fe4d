package gosdk_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

func chatParams() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: openAIModel, Messages: []openai.ChatCompletionMessageParamUnion{
		openai.SystemMessage("be brief"), openai.UserMessage(said),
	}}
}

func responseParams() responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: openAIModel, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(said)}}
}

func TestChatCompletion(t *testing.T) {
	t.Parallel()
	client := openAI(t, "openai", "")
	var res *http.Response
	got, err := client.Chat.Completions.New(t.Context(), chatParams(), option.WithResponseInto(&res))
	if err != nil {
		t.Fatal(err)
	}
	checkHeaders(t, res, "X-Request-Id")
	if got.Choices[0].Message.Content != echo || got.Choices[0].FinishReason != "stop" {
		t.Errorf("got %q, %s", got.Choices[0].Message.Content, got.Choices[0].FinishReason)
	}
	if got.Usage.PromptTokens != 4 || got.Usage.CompletionTokens != echoTokens {
		t.Errorf("usage %s", got.Usage.RawJSON())
	}
}

func TestChatCompletionStreamed(t *testing.T) {
	t.Parallel()
	client := openAI(t, "openai", "")
	params := chatParams()
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	var res *http.Response
	stream := client.Chat.Completions.NewStreaming(t.Context(), params, option.WithResponseInto(&res))
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	words := 0
	for stream.Next() {
		chunk := stream.Current()
		if !acc.AddChunk(chunk) {
			t.Error("a chunk does not go with the others")
		}
		if len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
			words++
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	checkHeaders(t, res, "X-Request-Id")
	if acc.Choices[0].Message.Content != echo || words != echoTokens || acc.Usage.TotalTokens != 4+echoTokens {
		t.Errorf("got %q in %d words, %d tokens", acc.Choices[0].Message.Content, words, acc.Usage.TotalTokens)
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	client := openAI(t, "openai", "")
	var res *http.Response
	got, err := client.Responses.New(t.Context(), responseParams(), option.WithResponseInto(&res))
	if err != nil {
		t.Fatal(err)
	}
	checkHeaders(t, res, "X-Request-Id")
	if got.OutputText() != echo || got.Status != "completed" || got.Usage.OutputTokens != echoTokens {
		t.Errorf("got %q, %s, %s", got.OutputText(), got.Status, got.Usage.RawJSON())
	}
}

func TestResponseStreamed(t *testing.T) {
	t.Parallel()
	client := openAI(t, "openai", "")
	stream := client.Responses.NewStreaming(t.Context(), responseParams())
	defer stream.Close()
	var text strings.Builder
	var completed responses.ResponseCompletedEvent
	next := int64(0)
	for stream.Next() {
		event := stream.Current()
		if event.SequenceNumber != next {
			t.Errorf("event %d comes where %d should", event.SequenceNumber, next)
		}
		next++
		switch event := event.AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			text.WriteString(event.Delta)
		case responses.ResponseCompletedEvent:
			completed = event
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if text.String() != echo || completed.Response.OutputText() != echo || completed.Response.Usage.OutputTokens != echoTokens {
		t.Errorf("got %q, completed %q", text.String(), completed.Response.OutputText())
	}
}

func TestEmbeddings(t *testing.T) {
	t.Parallel()
	client := openAI(t, "openai", "")
	got, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: embeddingModel, Dimensions: openai.Int(8),
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"one", "two words"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Data) != 2 || got.Usage.PromptTokens != 3 {
		t.Fatalf("%d vectors, usage %s", len(got.Data), got.Usage.RawJSON())
	}
	for _, e := range got.Data {
		square := 0.0
		for _, v := range e.Embedding {
			square += v * v
		}
		if len(e.Embedding) != 8 || math.Abs(square-1) > 1e-3 {
			t.Errorf("a vector of %d values, of length %f", len(e.Embedding), math.Sqrt(square))
		}
	}
}

func TestOpenAIModels(t *testing.T) {
	t.Parallel()
	client := openAI(t, "openai", "")
	pager := client.Models.ListAutoPaging(t.Context())
	var ids []string
	for pager.Next() {
		ids = append(ids, pager.Current().ID)
	}
	if err := pager.Err(); err != nil || !strings.Contains(strings.Join(ids, " "), openAIModel) {
		t.Errorf("models %q, %v", ids, err)
	}
}

func TestOpenAIErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, provider, token string
		params                openai.ChatCompletionNewParams
		status                int
		kind, code, param     string
		own                   bool
	}{
		{"a bad token is refused", "openai", badToken, chatParams(), http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "", true},
		{"a bad token learns nothing about providers", "nowhere", badToken, chatParams(), http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "", true},
		{"an unknown provider is not found", "nowhere", "", chatParams(), http.StatusNotFound, "invalid_request_error", "", "", true},
		{"a provider's own 400 passes as it is", "openai", "", openai.ChatCompletionNewParams{Model: openAIModel, Messages: []openai.ChatCompletionMessageParamUnion{}},
			http.StatusBadRequest, "invalid_request_error", "empty_array", "messages", false},
	} {
		for _, streamed := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				client := openAI(t, c.provider, c.token)
				var err error
				if streamed {
					stream := client.Chat.Completions.NewStreaming(t.Context(), c.params)
					defer stream.Close()
					for stream.Next() {
						t.Error("an event comes before the error")
					}
					err = stream.Err()
				} else {
					_, err = client.Chat.Completions.New(t.Context(), c.params)
				}
				var got *openai.Error
				if !errors.As(err, &got) {
					t.Fatalf("the SDK has no type for %v", err)
				}
				if got.StatusCode != c.status || got.Type != c.kind || got.Param != c.param || (c.code != "" && got.Code != c.code) || got.Message == "" {
					t.Errorf("got %d, type %q, code %q, param %q, message %q", got.StatusCode, got.Type, got.Code, got.Param, got.Message)
				}
				if strings.Contains(got.RawJSON(), badToken) {
					t.Error("the error carries what was sent")
				}
				if c.own {
					checkOwn(t, got.Response)
				} else {
					checkHeaders(t, got.Response, "X-Request-Id")
				}
			})
		}
	}
}

// A client that cancels in the middle of a stream is told so by its SDK. That
// the upstream is told, too, is seen from the other end.
func TestOpenAICancellation(t *testing.T) {
	t.Parallel()
	client := openAI(t, "slow-openai", "")
	t.Run("chat completions", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		stream := client.Chat.Completions.NewStreaming(ctx, chatParams())
		defer stream.Close()
		if !stream.Next() {
			t.Fatalf("the stream does not begin: %v", stream.Err())
		}
		cancel()
		for stream.Next() {
			t.Error("the stream goes on")
		}
		if err := stream.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("responses", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		stream := client.Responses.NewStreaming(ctx, responseParams())
		defer stream.Close()
		if !stream.Next() {
			t.Fatalf("the stream does not begin: %v", stream.Err())
		}
		cancel()
		for stream.Next() { // what had arrived by then
			if strings.HasPrefix(stream.Current().Type, "response.output_text.") {
				t.Error("the stream goes on")
			}
		}
		if err := stream.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
