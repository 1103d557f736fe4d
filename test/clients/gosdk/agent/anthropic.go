package main

import (
	"context"
	"strings"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// messages is the messages API.
type messages struct {
	client   anthropic.Client
	streamed bool
	params   anthropic.MessageNewParams
}

func newMessages(streamed bool) *messages {
	m := &messages{client: anthropic.NewClient(option.WithMaxRetries(0)), streamed: streamed}
	m.params.Model = "mock-claude"
	m.params.MaxTokens = 1000
	for name, arg := range map[string]string{readTool: readArg, runTool: runArg} {
		s := schema(arg)
		m.params.Tools = append(m.params.Tools, anthropic.ToolUnionParamOfTool(
			anthropic.ToolInputSchemaParam{Properties: s["properties"], Required: []string{arg}}, name))
	}
	return m
}

func (m *messages) ask(ctx context.Context, says string, results []result) (answer, error) {
	var content []anthropic.ContentBlockParamUnion
	for _, r := range results {
		content = append(content, anthropic.NewToolResultBlock(r.id, r.text, false))
	}
	if says != "" {
		content = append(content, anthropic.NewTextBlock(says))
	}
	m.params.Messages = append(m.params.Messages, anthropic.NewUserMessage(content...))
	got, err := m.create(ctx)
	if err != nil {
		return answer{}, err
	}
	m.params.Messages = append(m.params.Messages, got.ToParam())
	u := got.Usage
	a := answer{used: usage{
		Input: u.InputTokens, Output: u.OutputTokens, CacheRead: u.CacheReadInputTokens,
		CacheWrite: u.CacheCreationInputTokens, Reasoning: u.OutputTokensDetails.ThinkingTokens,
	}}
	var text strings.Builder
	for _, block := range got.Content {
		switch block := block.AsAny().(type) {
		case anthropic.TextBlock:
			text.WriteString(block.Text)
		case anthropic.ToolUseBlock:
			a.calls = append(a.calls, call{block.ID, block.Name, string(block.Input)})
		}
	}
	a.text = text.String()
	return a, nil
}

func (m *messages) create(ctx context.Context) (*anthropic.Message, error) {
	if !m.streamed {
		return m.client.Messages.New(ctx, m.params)
	}
	stream := m.client.Messages.NewStreaming(ctx, m.params)
	defer stream.Close()
	var got anthropic.Message
	for stream.Next() {
		if err := got.Accumulate(stream.Current()); err != nil {
			return nil, err
		}
	}
	return &got, stream.Err()
}
