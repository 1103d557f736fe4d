package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehousehq/gatehouse/client"
)

var usageGroups = []string{"provider", "model", "token", "owner", "client", "day", "hour"}

func (a *app) usageCommand() *cobra.Command {
	var groupBy string
	var limit int
	var filter func() (client.InterceptionFilter, error)
	cmd := needs(&cobra.Command{
		Use: "usage", Short: "See what went through the gateway", Args: cobra.NoArgs,
		Long: `Sum up the requests to the gateway: how many there were, how many failed, and the
tokens that the providers say were used. What a provider counts as input and
output is up to its API: OpenAI's and Gemini's input includes what came from the
cache, and Anthropic's does not; Gemini's output does not include reasoning.

A member sees their own requests, an auditor or owner those of all.`,
		Example: `  gatehouse usage --since 7d
  gatehouse usage --group-by model --owner ada
  gatehouse usage --group-by day --provider openai --output json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := filter()
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			u, err := c.Usage(cmd.Context(), groupBy, f, limit)
			if err != nil {
				return err
			}
			if err := a.print(cmd, u, func(w io.Writer) { usageRows(w, u) }); err != nil {
				return err
			}
			if u.Truncated {
				say(cmd, "There are more than these %d: --limit shows more, and the total counts all.", len(u.Items))
			}
			return nil
		},
	}, "interception:read")
	cmd.Flags().StringVar(&groupBy, "group-by", "provider", "`what` to sum up by: "+strings.Join(usageGroups, ", "))
	complete(cmd, "group-by", usageGroups...)
	cmd.Flags().IntVar(&limit, "limit", 100, "show at most this `number` of groups")
	filter = a.requestFlags(cmd, "7d", true)
	cmd.AddCommand(a.usageRequests(), a.usageShow(), a.usageFollow())
	return cmd
}

func usageRows(w io.Writer, u client.Usage) {
	row(w, strings.ToUpper(u.GroupBy), "REQUESTS", "ERRORS", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "REASONING", "FIRST BYTE", "DURATION")
	sums := func(name string, s client.UsageSums) {
		cells := []string{name, number(s.Requests), number(s.Errors)}
		for _, n := range []int64{s.Tokens.Input, s.Tokens.Output, s.Tokens.CacheRead, s.Tokens.CacheWrite, s.Tokens.Reasoning} {
			if s.Metered == 0 {
				cells = append(cells, "") // nobody said, which is not 0
				continue
			}
			cells = append(cells, number(n))
		}
		row(w, append(cells, average(s.FirstByteMS, s.Answered), average(s.DurationMS, s.Requests))...)
	}
	for _, g := range u.Items {
		name := cmp.Or(g.Name, g.Group, "unknown")
		if g.Start != nil {
			name = g.Start.UTC().Format(map[string]string{"day": time.DateOnly, "hour": "2006-01-02 15:04"}[u.GroupBy])
		}
		sums(name, g.UsageSums)
	}
	sums("total", u.Total)
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// average returns the mean of n times that come to ms together.
func average(ms float64, n int64) string {
	if n == 0 {
		return ""
	}
	return span(ms / float64(n))
}

// span returns a number of milliseconds as people read it.
func span(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

// requestFlags defines the flags that select requests. What they say is known once
// the command runs.
func (a *app) requestFlags(cmd *cobra.Command, since string, times bool) func() (client.InterceptionFilter, error) {
	var f client.InterceptionFilter
	var until string
	flags := cmd.Flags()
	flags.StringVar(&f.Provider, "provider", "", "requests to this `provider`")
	flags.StringVar(&f.Model, "model", "", "requests for this `model`")
	flags.StringVar(&f.Token, "token", "", "requests made with this `token`, by name or id")
	flags.StringVar(&f.Owner, "owner", "", "requests made with the tokens of this `user`")
	flags.StringVar(&f.Client, "client", "", "requests of this `program`, with its version or without, such as claude-cli")
	flags.StringVar(&f.Key, "key", "", "requests that were tried with the provider key of this `id`")
	flags.StringVar(&f.Status, "status", "", "requests answered with this `status`, such as 429, 5xx, or error for 400 and more")
	completeWith(cmd, "provider", a.completeProviders)
	completeWith(cmd, "owner", a.completeUsers)
	complete(cmd, "status", "error", "4xx", "5xx", "2xx")
	if times {
		flags.StringVar(&since, "since", since, "requests from this `time` on: RFC 3339, or a span before now, such as 7d")
		flags.StringVar(&until, "until", "", "requests from before this `time`")
	}
	return func() (client.InterceptionFilter, error) {
		var err error
		if f.Since, err = parseMoment("since", since, a.now()); err != nil {
			return f, err
		}
		f.Until, err = parseMoment("until", until, a.now())
		return f, err
	}
}

func (a *app) usageRequests() *cobra.Command {
	var limit int
	var filter func() (client.InterceptionFilter, error)
	cmd := needs(&cobra.Command{
		Use: "requests", Short: "List the requests to the gateway, newest first", Args: cobra.NoArgs,
		Example: `  gatehouse usage requests --status error --since 1h
  gatehouse usage requests --token laptop --limit 10`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit must be at least 1")
			}
			f, err := filter()
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			recs, err := first(limit, c.Interceptions(cmd.Context(), f))
			if err != nil {
				return err
			}
			return a.print(cmd, recs, func(w io.Writer) {
				row(w, "TIME", "STATUS", "PROVIDER", "MODEL", "WHO", "CLIENT", "INPUT", "OUTPUT", "FIRST BYTE", "DURATION", "REQUEST ID")
				for _, rec := range recs {
					row(w, append(requestCells(rec), rec.ID)...)
				}
			})
		},
	}, "interception:read")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most this `number` of requests")
	filter = a.requestFlags(cmd, "", true)
	return cmd
}

// requestCells are what a line says of a request.
func requestCells(r client.Interception) []string {
	input, output, first := "", "", ""
	if r.Tokens != nil {
		input, output = number(r.Tokens.Input), number(r.Tokens.Output)
	}
	if r.FirstByteMS != nil {
		first = span(*r.FirstByteMS)
	}
	duration := span(r.DurationMS)
	if r.Outcome == "unknown" {
		duration = ""
	}
	who := r.Token
	if r.Owner != "" {
		who = r.Owner + " (token " + r.Token + ")"
	}
	return []string{r.Time.Local().Format(time.DateTime), outcomeCell(r), r.Provider, cmp.Or(r.Model, r.Endpoint), who, r.Client, input, output, first, duration}
}

// outcomeCell says how a request ended: "200", "200 after 3 attempts", "429
// rate_limited", "unknown".
func outcomeCell(r client.Interception) string {
	text := strconv.Itoa(r.Status)
	if r.Outcome == "unknown" {
		text = "unknown"
	}
	if r.Reason != "" {
		text += " " + r.Reason
	}
	if n := len(r.Attempts); n > 1 {
		text += fmt.Sprintf(" after %d attempts", n)
	}
	return text
}

func (a *app) usageShow() *cobra.Command {
	return needs(&cobra.Command{
		Use: "show REQUEST-ID", Short: "Show one request to the gateway, with its attempts", Args: cobra.ExactArgs(1),
		Long: `Show one request to the gateway, with its attempts. REQUEST-ID is what the client
was given in the header X-Gatehouse-Request-Id, and what the log of the server
has.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			rec, err := c.Interception(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(cmd, rec, func(w io.Writer) { requestRows(w, rec) })
		},
	}, "interception:read")
}

func requestRows(w io.Writer, r client.Interception) {
	for _, line := range [][2]string{
		{"Request", r.ID}, {"Time", r.Time.Local().Format("2006-01-02 15:04:05.000")}, {"Status", outcomeCell(r)},
		{"Token", r.Token}, {"Owner", cmp.Or(r.Owner, r.OwnerID)}, {"Client", r.Client}, {"Provider", r.Provider}, {"Endpoint", r.Endpoint},
		{"Model", r.Model}, {"Answered by", r.ActualModel}, {"Duration", span(r.DurationMS)},
		{"Bytes", fmt.Sprintf("%d asked, %d answered", r.RequestBytes, r.ResponseBytes)},
	} {
		row(w, line[0], line[1])
	}
	if r.FirstByteMS != nil {
		row(w, "First byte", span(*r.FirstByteMS))
	}
	if t := r.Tokens; t != nil {
		row(w, "Tokens", fmt.Sprintf("%d input, %d output, %d cache read, %d cache write, %d reasoning", t.Input, t.Output, t.CacheRead, t.CacheWrite, t.Reasoning))
	}
	for i, t := range r.Attempts {
		text := t.Outcome
		if t.Status != 0 {
			text += fmt.Sprintf(" (%d)", t.Status)
		}
		text += ", " + span(t.DurationMS)
		if t.ProviderID != r.ProviderID {
			text += ", provider " + t.Provider
		}
		if t.KeyID != "" {
			text += ", key " + t.KeyID
		}
		if t.BilledTwice {
			text += ", possibly billed twice"
		}
		row(w, fmt.Sprintf("Attempt %d", i+1), text)
	}
}

func (a *app) usageFollow() *cobra.Command {
	var filter func() (client.InterceptionFilter, error)
	cmd := needs(&cobra.Command{
		Use: "follow", Short: "Follow the requests to the gateway", Args: cobra.NoArgs,
		Long: `Show the requests to the gateway as they come to an end, until it is interrupted.
With --output json each is an object on a line of its own. Of several replicas it
shows what the one that answers has served.`,
		Example: `  gatehouse usage follow
  gatehouse usage follow --status error --output json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := filter()
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
			defer stop()
			for e, err := range c.Events(ctx, f) {
				switch {
				case ctx.Err() != nil: // that is how it ends
					return nil
				case err != nil:
					return err
				case e.Gap:
					say(cmd, "Some requests are missing here: gatehouse usage requests has them.")
					continue
				}
				if err := a.follow(cmd.OutOrStdout(), e.Interception); err != nil {
					return err
				}
			}
			return nil
		},
	}, "interception:read")
	filter = a.requestFlags(cmd, "", false)
	return cmd
}

// follow writes one request on one line.
func (a *app) follow(w io.Writer, rec client.Interception) error {
	if a.output == "json" {
		b, err := json.Marshal(rec)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	var line strings.Builder
	for i, cell := range requestCells(rec) {
		if cell = printable(cell); cell == "" {
			cell = "-"
		}
		if i == 0 {
			line.WriteString(cell)
			continue
		}
		fmt.Fprintf(&line, "  %-*s", []int{0, 4, 12, 20, 12, 20, 7, 7, 8, 8}[i], cell)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	return err
}
