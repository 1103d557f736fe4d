// Agent is a small agent made of the vendors' Go SDKs. It asks a model each of
// its prompts in one conversation, lends it two tools, and prints what the model
// said to each, and what was used in all, as one JSON object.
//
//	agent chat|responses|messages whole|streamed PROMPT...
//
// The base URL and the key come from the variables that the SDKs read. Nothing
// is repeated that failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// A conversation is one API, with what was said so far.
type conversation interface {
	// ask sends what the user says, or what the tools returned if there is
	// nothing that the user says.
	ask(ctx context.Context, says string, results []result) (answer, error)
}

// An answer is what the model says, or the tools that it wants to use.
type answer struct {
	text  string
	calls []call
	used  usage
}

type call struct{ id, name, input string }

type result struct{ id, text string }

// A usage is in the meaning of the API.
type usage struct {
	Input, Output, CacheRead, CacheWrite, Reasoning int64
}

// What the tools are called and what they are told.
const (
	readTool = "read_file"
	runTool  = "run_command"
	readArg  = "path"
	runArg   = "command"
)

// schema is that of a tool with one argument.
func schema(arg string) map[string]any {
	return map[string]any{
		"type": "object", "properties": map[string]any{arg: map[string]any{"type": "string"}}, "required": []string{arg},
	}
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 3 {
		return errors.New("usage: agent chat|responses|messages whole|streamed PROMPT...")
	}
	var c conversation
	switch streamed := args[1] == "streamed"; args[0] {
	case "chat":
		c = newChat(streamed)
	case "responses":
		c = newResponses(streamed)
	case "messages":
		c = newMessages(streamed)
	default:
		return fmt.Errorf("there is no API %q", args[0])
	}
	var report struct {
		Said []string
		Used usage
	}
	for _, prompt := range args[2:] {
		var results []result
		for says := prompt; ; says = "" {
			a, err := c.ask(ctx, says, results)
			if err != nil {
				return err
			}
			report.Used.add(a.used)
			if len(a.calls) == 0 {
				report.Said = append(report.Said, a.text)
				break
			}
			results = nil
			for _, call := range a.calls {
				results = append(results, result{call.id, use(ctx, call)})
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// use does what the model wants done.
func use(ctx context.Context, c call) string {
	var input map[string]string
	if err := json.Unmarshal([]byte(c.input), &input); err != nil {
		return err.Error()
	}
	var out []byte
	var err error
	switch c.name {
	case readTool:
		out, err = os.ReadFile(input[readArg])
	case runTool:
		out, err = exec.CommandContext(ctx, "bash", "-c", input[runArg]).CombinedOutput()
	default:
		err = errors.New("there is no such tool")
	}
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func (u *usage) add(v usage) {
	u.Input += v.Input
	u.Output += v.Output
	u.CacheRead += v.CacheRead
	u.CacheWrite += v.CacheWrite
	u.Reasoning += v.Reasoning
}
