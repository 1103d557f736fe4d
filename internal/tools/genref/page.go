package main

import (
	"fmt"
	"strings"
)

// A page is a Markdown file in the making.
type page struct{ b strings.Builder }

// newPage begins a page. Each paragraph is one of the introduction.
func newPage(title string, paragraphs ...string) *page {
	p := &page{}
	p.heading(1, title)
	p.b.WriteString("\n<!-- Written by go run ./internal/tools/genref; do not edit. -->\n")
	for _, text := range paragraphs {
		p.text(text)
	}
	return p
}

func (p *page) heading(level int, title string) {
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	fmt.Fprintf(&p.b, "%s %s\n", strings.Repeat("#", level), title)
}

func (p *page) text(text string) { fmt.Fprintf(&p.b, "\n%s\n", text) }

// table writes a table; the cells are Markdown.
func (p *page) table(head []string, rows [][]string) {
	p.b.WriteByte('\n')
	write := func(cells []string) {
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		fmt.Fprintf(&p.b, "| %s |\n", strings.Join(cells, " | "))
	}
	write(head)
	p.b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		write(r)
	}
}

// block writes text as it is.
func (p *page) block(text string) {
	fmt.Fprintf(&p.b, "\n```text\n%s\n```\n", strings.TrimRight(text, "\n"))
}

func (p *page) bytes() []byte { return []byte(p.b.String()) }

// code returns names as code, separated by commas.
func code(names ...string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}
