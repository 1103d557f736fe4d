package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

// A failure is an error as a person reads it: what went wrong in one line, and
// what to do about it below.
type failure struct {
	code   int
	reason string
	advice []string
}

func (f *failure) Error() string { return f.reason }

func (f *failure) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gatehouse: %s\n", printable(f.reason))
	for _, line := range f.advice {
		fmt.Fprintf(&b, "  %s\n", printable(line))
	}
	return b.String()
}

// A usageError is a command line that makes no sense. It does not repeat what
// was typed, which may be a secret in the wrong place.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func misuse(cmd *cobra.Command, err error) *failure {
	reason := err.Error()
	if e, ok := err.(interface{ GetSpecifiedShortnames() string }); ok && e.GetSpecifiedShortnames() != "" {
		reason = "unknown flag: -" + e.GetSpecifiedShortnames()[:1] // pflag repeats the whole argument
	}
	advice := []string{`See "` + cmd.CommandPath() + ` --help".`}
	if e, ok := err.(interface{ GetSpecifiedName() string }); ok && strings.HasSuffix(e.GetSpecifiedName(), "key") {
		advice = append(advice, "No flag takes a key, because other users could see it: use --api-key-file or --api-key-env.")
	}
	if strings.HasPrefix(reason, "unknown command ") {
		reason = "there is no such command" // cobra repeats what was typed
	}
	return &failure{exitUsage, reason, advice}
}

// explainErrors makes c and every command below it return their errors as
// failures, by explain.
func explainErrors(c *cobra.Command, explain func(*cobra.Command, error) *failure) {
	if run := c.RunE; run != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if err := run(cmd, args); err != nil {
				return explain(cmd, err)
			}
			return nil
		}
	}
	for _, child := range c.Commands() {
		explainErrors(child, explain)
	}
}

// asItIs is for commands that are no clients of a server: they say themselves
// what to do.
func asItIs(_ *cobra.Command, err error) *failure {
	reason, advice, _ := strings.Cut(err.Error(), "\n")
	f := &failure{code: exitFailed, reason: reason}
	if advice != "" { // several errors, joined
		f.advice = strings.Split(advice, "\n")
	}
	return f
}

func (a *app) explain(cmd *cobra.Command, err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return misuse(cmd, e)
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return a.explainRefusal(cmd, e)
	}
	f := &failure{code: exitFailed, reason: err.Error()}
	switch {
	case errors.Is(err, context.Canceled):
		f.reason = "interrupted"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.reason = "no server answers at " + a.serverURL() + ": connection refused"
		f.advice = []string{`Start it with "gatehouse server", or name another with --url or GATEHOUSE_URL.`}
	default:
		if _, ok := errors.AsType[net.Error](err); ok {
			f.advice = []string{"Check --url or GATEHOUSE_URL, and that the server runs."}
		}
	}
	return f
}

func (a *app) explainRefusal(cmd *cobra.Command, e *client.Error) *failure {
	f := &failure{code: exitFailed, reason: fmt.Sprintf("%s (%d)", e.Detail, e.Status)}
	if e.Detail == "" {
		f.reason = fmt.Sprintf("%s (%d)", e.Title, e.Status)
	}
	for _, field := range e.Errors {
		f.advice = append(f.advice, flagOf(field.Location)+": "+field.Message)
	}
	switch e.Status {
	case http.StatusUnauthorized:
		f.advice = append(f.advice,
			"The token is from "+a.tokenFrom+".",
			"Set GATEHOUSE_TOKEN to a valid one, or unset it to use the owner-token of a server on this machine.")
	case http.StatusForbidden:
		if scopes := cmd.Annotations[annotationScopes]; scopes != "" {
			f.advice = append(f.advice, "The token needs "+scopes+", and its owner the right to it. It is from "+a.tokenFrom+".")
		}
	case http.StatusNotFound:
		switch {
		case strings.Contains(cmd.Use, "PROVIDER"):
			f.advice = append(f.advice, `"gatehouse provider list" shows the providers there are.`)
		case strings.Contains(cmd.Use, "ROUTE"):
			f.advice = append(f.advice, `"gatehouse route list" shows the routes there are.`)
		case strings.Contains(cmd.Use, "USER"):
			f.advice = append(f.advice, `"gatehouse user list" shows the users there are.`)
		case strings.Contains(cmd.Use, "ROLE"):
			f.advice = append(f.advice, `"gatehouse role list" shows the roles there are.`)
		case cmd.Use == "restore ID", cmd.Use == "purge ID":
			f.advice = append(f.advice, `"gatehouse provider list --deleted" shows those that were removed, with their ids.`)
		}
	case http.StatusPreconditionFailed:
		f.reason = "somebody else changed it in the meantime (412)"
		f.advice = append(f.advice, "Nothing was changed. Look at it as it is now, then repeat the command.")
	case http.StatusServiceUnavailable:
		f.advice = append(f.advice, "The server's log says why.")
	}
	return f
}

var (
	bodyField = regexp.MustCompile(`^(?:body|query)\.([a-z_]+)((?:\[\d+\])?)(.*)$`)
	argument  = map[string]string{
		"name":         "NAME",
		"type":         "--type",
		"base_url":     "--base-url",
		"display_name": "--display-name",
		"settings":     "--settings",
		"api_key":      "the API key",
		"label":        "--label",
		"position":     "--position",
		"weight":       "--weight",
		"strategy":     "--strategy",
		"rpm":          "--rpm",
		"concurrency":  "--concurrency",
		"disabled":     "--disabled",
		"expires_at":   "--expires",
		"scopes":       "--scope",
		"providers":    "--provider",
		"models":       "--model",
		"owner":        "--owner",
		"roles":        "--role",
		"permissions":  "--permission",
		"targets":      "--target",
		"description":  "--description",
		"installation": "--installation",
		"new":          "the new password",
		"current":      "the current password",
	}
)

// flagOf returns what the user typed for a part of the request.
func flagOf(location string) string {
	m := bodyField.FindStringSubmatch(location)
	if m == nil {
		return location
	}
	field, index, rest := m[1], m[2], m[3]
	which := ""
	var i int
	if _, err := fmt.Sscanf(index, "[%d]", &i); err == nil {
		which = fmt.Sprintf(" number %d", i+1)
	}
	if field == "api_keys" {
		if which == "" {
			return "the API keys"
		}
		return "API key" + which
	}
	name, ok := argument[field]
	if !ok {
		return location
	}
	name += which
	if rest != "" {
		name += " (" + strings.TrimPrefix(rest, ".") + ")"
	}
	return name
}
