package gosdk_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// What is here is about translations of recorded answers, which a server at
// TRANSLATED_URL has: at /API/NAME those of an upstream of that API. NAME is a
// status, for an error, or one of these: "tools" says the same whole and in a
// stream, the streams "error" and "broken" end early.

func translated(t *testing.T, upstream, name string) string {
	t.Helper()
	url := os.Getenv("TRANSLATED_URL")
	if url == "" {
		t.Skip("TRANSLATED_URL does not say where translations are")
	}
	return url + "/" + upstream + "/" + name
}

func openAITranslated(t *testing.T, upstream, name string) openai.Client {
	t.Helper()
	return openai.NewClient(openaioption.WithBaseURL(translated(t, upstream, name)+"/v1"), openaioption.WithAPIKey("x"), openaioption.WithMaxRetries(0))
}

func claudeTranslated(t *testing.T, upstream, name string) anthropic.Client {
	t.Helper()
	return anthropic.NewClient(anthropicoption.WithBaseURL(translated(t, upstream, name)), anthropicoption.WithAPIKey("x"), anthropicoption.WithMaxRetries(0))
}

// same fails unless both are the same in JSON, and have all of the parts.
func same(t *testing.T, streamed, whole any, parts ...string) {
	t.Helper()
	s, err := json.Marshal(streamed)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if string(s) != string(w) {
		t.Errorf("streamed: %s\nwhole:    %s", s, w)
	}
	for _, p := range parts {
		if !strings.Contains(string(w), p) {
			t.Errorf("%s is missing in %s", p, w)
		}
	}
}

func translatedChat() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("x")},
		StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
	}
}

func TestTranslatedChat(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"messages", "responses"} {
		t.Run(upstream, func(t *testing.T) {
			t.Parallel()
			client := openAITranslated(t, upstream, "tools")
			whole, err := client.Chat.Completions.New(t.Context(), translatedChat())
			if err != nil {
				t.Fatal(err)
			}
			stream := client.Chat.Completions.NewStreaming(t.Context(), translatedChat())
			defer stream.Close()
			var acc openai.ChatCompletionAccumulator
			var finished []string
			var written int64 // which the accumulator forgets
			for stream.Next() {
				chunk := stream.Current()
				if !acc.AddChunk(chunk) {
					t.Fatal("a chunk does not go with the others")
				}
				if call, ok := acc.JustFinishedToolCall(); ok {
					finished = append(finished, call.Name)
				}
				written += chunk.Usage.PromptTokensDetails.CacheWriteTokens
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			acc.Usage.PromptTokensDetails.CacheWriteTokens = written
			// The accumulator has no JSON, and calls its object a chunk.
			type view struct {
				ID, Model, Reason, Content    string
				Calls                         []openai.ChatCompletionMessageFunctionToolCallFunction
				In, Out, Read, Write, Thought int64
			}
			look := func(c *openai.ChatCompletion) view {
				m := c.Choices[0].Message
				v := view{
					c.ID, c.Model, c.Choices[0].FinishReason, m.Content, nil, c.Usage.PromptTokens, c.Usage.CompletionTokens,
					c.Usage.PromptTokensDetails.CachedTokens, c.Usage.PromptTokensDetails.CacheWriteTokens, c.Usage.CompletionTokensDetails.ReasoningTokens,
				}
				for _, c := range m.ToolCalls {
					v.Calls = append(v.Calls, openai.ChatCompletionMessageFunctionToolCallFunction{Name: c.ID + c.Function.Name, Arguments: c.Function.Arguments})
				}
				return v
			}
			same(t, look(&acc.ChatCompletion), look(whole), `"Reason":"tool_calls"`, "Let ", "get_weather", "Paris")
			if len(finished) == 0 || finished[0] != "get_weather" {
				t.Errorf("the calls that ended are %q", finished)
			}
		})
	}
}

func translatedMessage() anthropic.MessageNewParams {
	return anthropic.MessageNewParams{Model: "m", MaxTokens: 100, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("x"))}}
}

func TestTranslatedMessages(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"chat", "responses"} {
		t.Run(upstream, func(t *testing.T) {
			t.Parallel()
			client := claudeTranslated(t, upstream, "tools")
			whole, err := client.Messages.New(t.Context(), translatedMessage())
			if err != nil {
				t.Fatal(err)
			}
			stream := client.Messages.NewStreaming(t.Context(), translatedMessage())
			defer stream.Close()
			var acc anthropic.Message
			for stream.Next() {
				if err := acc.Accumulate(stream.Current()); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			type view struct {
				ID, Model string
				Content   []anthropic.ContentBlockParamUnion
				Stop      anthropic.StopReason
				Usage     [5]int64
			}
			look := func(m *anthropic.Message) view {
				u := m.Usage
				v := view{m.ID, m.Model, nil, m.StopReason, [5]int64{u.InputTokens, u.OutputTokens, u.CacheReadInputTokens, u.CacheCreationInputTokens, u.OutputTokensDetails.ThinkingTokens}}
				for _, b := range m.Content {
					v.Content = append(v.Content, b.ToParam())
				}
				return v
			}
			same(t, look(&acc), look(whole), `"Stop":"tool_use"`, `"type":"thinking"`, `"text":"Let `, `"type":"tool_use"`, `"input":{"city":"Paris"}`)
		})
	}
}

// accumulate adds an event, which the accumulator knows in the form that comes
// over WebSocket.
func accumulate(acc *responses.ResponseAccumulator, raw string) error {
	var event responses.ResponsesServerEventUnion
	if err := event.UnmarshalJSON([]byte(raw)); err != nil {
		return err
	}
	return acc.AddEvent(event)
}

func TestTranslatedResponses(t *testing.T) {
	t.Parallel()
	params := responses.ResponseNewParams{
		Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("x")},
		Include: []responses.ResponseIncludable{responses.ResponseIncludableReasoningEncryptedContent},
	}
	for _, upstream := range []string{"chat", "messages"} {
		t.Run(upstream, func(t *testing.T) {
			t.Parallel()
			client := openAITranslated(t, upstream, "tools")
			whole, err := client.Responses.New(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			stream := client.Responses.NewStreaming(t.Context(), params)
			defer stream.Close()
			var acc responses.ResponseAccumulator
			var last *responses.Response
			var items []string
			for stream.Next() {
				event := stream.Current()
				if err := accumulate(&acc, event.RawJSON()); err != nil {
					t.Fatal(err)
				}
				switch e := event.AsAny().(type) {
				case responses.ResponseOutputItemDoneEvent:
					items = append(items, e.Item.RawJSON())
				case responses.ResponseCompletedEvent:
					last = &e.Response
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			if last == nil {
				t.Fatal("the response is not completed")
			}
			view := func(r *responses.Response) any {
				var v map[string]any
				if err := json.Unmarshal([]byte(r.RawJSON()), &v); err != nil {
					t.Fatal(err)
				}
				delete(v, "created_at")
				return v
			}
			same(t, view(last), view(whole), `"status":"completed"`, "get_weather", `"type":"reasoning"`, "Let ")
			var output []string
			for _, item := range last.Output {
				output = append(output, item.RawJSON())
			}
			same(t, items, output)
			snapshot := acc.Snapshot()
			if snapshot.TerminalEvent != "response.completed" || snapshot.OutputText() != whole.OutputText() || len(snapshot.Output) != len(whole.Output) {
				t.Errorf("the deltas come to %+v", snapshot)
			}
			for i, item := range whole.Output {
				if o := snapshot.Output[i]; o.ItemID != item.ID || o.Arguments != item.Arguments.OfString || o.CallID != item.CallID || o.Name != item.Name {
					t.Errorf("the deltas of item %d come to %+v, not %s", i, o, item.RawJSON())
				}
			}
		})
	}
}

func TestTranslatedErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
	}{{"400", 400}, {"401", 401}, {"404", 404}, {"429", 429}, {"500", 500}, {"529", 529}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			chat := openAITranslated(t, "messages", c.name)
			_, err := chat.Chat.Completions.New(t.Context(), translatedChat())
			var theirs *openai.Error
			if !errors.As(err, &theirs) || theirs.StatusCode != c.status || theirs.Message != "recorded "+c.name || theirs.Type == "" {
				t.Errorf("openai-go got %v", err)
			}
			claude := claudeTranslated(t, "chat", c.name)
			_, err = claude.Messages.New(t.Context(), translatedMessage())
			var other *anthropic.Error
			if !errors.As(err, &other) || other.StatusCode != c.status || other.Type() == "" || !strings.Contains(other.RawJSON(), "recorded "+c.name) {
				t.Errorf("anthropic-sdk-go got %v", err)
			}
		})
	}
	for _, name := range []string{"error", "broken"} {
		t.Run("a stream that ends early: "+name, func(t *testing.T) {
			t.Parallel()
			chat := openAITranslated(t, "messages", name)
			chunks := chat.Chat.Completions.NewStreaming(t.Context(), translatedChat())
			defer chunks.Close()
			said := ""
			for chunks.Next() {
				if c := chunks.Current().Choices; len(c) > 0 {
					said += c[0].Delta.Content
				}
			}
			if chunks.Err() == nil || said != "Hel" {
				t.Errorf("openai-go read %q and got %v", said, chunks.Err())
			}
			claude := claudeTranslated(t, "chat", name)
			events := claude.Messages.NewStreaming(t.Context(), translatedMessage())
			defer events.Close()
			var acc anthropic.Message
			for events.Next() {
				if err := acc.Accumulate(events.Current()); err != nil {
					t.Fatal(err)
				}
			}
			if events.Err() == nil || acc.StopReason != "" || acc.Content[0].Text != "Hel" {
				t.Errorf("anthropic-sdk-go read %s and got %v", acc.RawJSON(), events.Err())
			}
			params := responses.ResponseNewParams{Model: "m", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("x")}}
			for _, upstream := range []string{"chat", "messages"} {
				client := openAITranslated(t, upstream, name)
				stream := client.Responses.NewStreaming(t.Context(), params)
				defer stream.Close()
				failed := false
				for stream.Next() {
					failed = failed || stream.Current().Type == "response.failed"
					if stream.Current().Type == "response.completed" {
						t.Error("it is completed")
					}
				}
				if !failed {
					t.Errorf("openai-go is not told of the failure; its error is %v", stream.Err())
				}
			}
		})
	}
}
