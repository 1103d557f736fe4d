package main

import (
	"context"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

const openAIModel = "mock-gpt"

// chat is the chat completions API.
type chat struct {
	client   openai.Client
	streamed bool
	params   openai.ChatCompletionNewParams
}

func newChat(streamed bool) *chat {
	c := &chat{client: openai.NewClient(option.WithMaxRetries(0)), streamed: streamed}
	c.params.Model = openAIModel
	c.params.Tools = []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: readTool, Parameters: schema(readArg)}),
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: runTool, Parameters: schema(runArg)}),
	}
	if streamed {
		c.params.StreamOptions.IncludeUsage = openai.Bool(true)
	}
	return c
}

func (c *chat) ask(ctx context.Context, says string, results []result) (answer, error) {
	if says != "" {
		c.params.Messages = append(c.params.Messages, openai.UserMessage(says))
	}
	for _, r := range results {
		c.params.Messages = append(c.params.Messages, openai.ToolMessage(r.text, r.id))
	}
	completion, err := c.complete(ctx)
	if err != nil {
		return answer{}, err
	}
	if len(completion.Choices) != 1 {
		return answer{}, errors.New("the completion does not have one choice")
	}
	message := completion.Choices[0].Message
	c.params.Messages = append(c.params.Messages, message.ToParam())
	u := completion.Usage
	a := answer{text: message.Content, used: usage{
		Input: u.PromptTokens, Output: u.CompletionTokens, CacheRead: u.PromptTokensDetails.CachedTokens,
		CacheWrite: u.PromptTokensDetails.CacheWriteTokens, Reasoning: u.CompletionTokensDetails.ReasoningTokens,
	}}
	for _, t := range message.ToolCalls {
		a.calls = append(a.calls, call{t.ID, t.Function.Name, t.Function.Arguments})
	}
	return a, nil
}

func (c *chat) complete(ctx context.Context) (*openai.ChatCompletion, error) {
	if !c.streamed {
		return c.client.Chat.Completions.New(ctx, c.params)
	}
	stream := c.client.Chat.Completions.NewStreaming(ctx, c.params)
	defer stream.Close()
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		chunk := stream.Current()
		if !acc.AddChunk(chunk) {
			return nil, errors.New("a chunk does not go with the others")
		}
		// The accumulator forgets what was written to the cache.
		acc.Usage.PromptTokensDetails.CacheWriteTokens += chunk.Usage.PromptTokensDetails.CacheWriteTokens
	}
	return &acc.ChatCompletion, stream.Err()
}

// response is the responses API, without state at the provider.
type response struct {
	client   openai.Client
	streamed bool
	params   responses.ResponseNewParams
}

func newResponses(streamed bool) *response {
	r := &response{client: openai.NewClient(option.WithMaxRetries(0)), streamed: streamed}
	r.params.Model = openAIModel
	r.params.Store = openai.Bool(false)
	r.params.Tools = []responses.ToolUnionParam{
		responses.ToolParamOfFunction(readTool, schema(readArg), false),
		responses.ToolParamOfFunction(runTool, schema(runArg), false),
	}
	return r
}

func (r *response) ask(ctx context.Context, says string, results []result) (answer, error) {
	input := &r.params.Input.OfInputItemList
	if says != "" {
		*input = append(*input, responses.ResponseInputItemParamOfMessage(says, responses.EasyInputMessageRoleUser))
	}
	for _, res := range results {
		item := responses.ResponseInputItemParamOfFunctionCallOutput(res.text)
		item.OfFunctionCallOutput.CallID = openai.String(res.id)
		*input = append(*input, item)
	}
	got, err := r.respond(ctx)
	if err != nil {
		return answer{}, err
	}
	u := got.Usage
	a := answer{text: got.OutputText(), used: usage{
		Input: u.InputTokens, Output: u.OutputTokens, CacheRead: u.InputTokensDetails.CachedTokens,
		CacheWrite: u.InputTokensDetails.CacheWriteTokens, Reasoning: u.OutputTokensDetails.ReasoningTokens,
	}}
	for _, item := range got.Output {
		switch item := item.AsAny().(type) {
		case responses.ResponseOutputMessage:
			param := item.ToParam()
			*input = append(*input, responses.ResponseInputItemUnionParam{OfOutputMessage: &param})
		case responses.ResponseFunctionToolCall:
			param := item.ToParam()
			*input = append(*input, responses.ResponseInputItemUnionParam{OfFunctionCall: &param})
			a.calls = append(a.calls, call{item.CallID, item.Name, item.Arguments})
		}
	}
	return a, nil
}

// respond returns the response. Of a stream it takes the text and the tools'
// inputs from the pieces, and so fails if one is missing.
func (r *response) respond(ctx context.Context) (*responses.Response, error) {
	if !r.streamed {
		return r.client.Responses.New(ctx, r.params)
	}
	stream := r.client.Responses.NewStreaming(ctx, r.params)
	defer stream.Close()
	var pieces string
	var got *responses.Response
	for stream.Next() {
		switch event := stream.Current().AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			pieces += event.Delta
		case responses.ResponseFunctionCallArgumentsDeltaEvent:
			pieces += event.Delta
		case responses.ResponseCompletedEvent:
			got = &event.Response
		}
	}
	if err := stream.Err(); err != nil {
		return nil, err
	}
	if got == nil {
		return nil, errors.New("the stream ended before the response was completed")
	}
	whole := got.OutputText()
	for _, item := range got.Output {
		if call, ok := item.AsAny().(responses.ResponseFunctionToolCall); ok {
			whole += call.Arguments
		}
	}
	if pieces != whole {
		return nil, errors.New("the pieces are not the whole")
	}
	return got, nil
}
