package config

import (
	"go/ast"
	"go/printer"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// givenClients are the clients that a file makes from settings which do not stand in
// the call itself.
type givenClients struct {
	all []facts.Hidden
}

// add notes a client by the bracket that its arguments begin with.
func (g *givenClients) add(ts []tok, open int, kind facts.Kind) {
	ps := parts(ts, open)
	if len(ps) == 0 || len(ps[0]) == 0 || ps[0][0].text == "{" && len(ps[0]) == 2 {
		return
	}
	given := ps[0]
	if n := literalOf(given, 0); n.rest != nil {
		given = n.rest
	}
	g.all = append(g.all, facts.Hidden{Kind: kind, Given: written(given), Place: facts.Place{Line: ts[open].line}})
}

// seen says that the settings in a variable were read.
func (g *givenClients) seen(name string) {
	g.all = slices.DeleteFunc(g.all, func(h facts.Hidden) bool {
		last := h.Given[strings.LastIndexByte(h.Given, '.')+1:]
		return last == name
	})
}

// seenKind says that settings of a kind ("": any) were read somewhere in the file. In
// Java methods hand them to each other, which is not followed.
func (g *givenClients) seenKind(kind facts.Kind) {
	g.all = slices.DeleteFunc(g.all, func(h facts.Hidden) bool { return kind == "" || h.Kind == kind })
}

// java looks for a client that is made at a token.
func (g *givenClients) java(ts []tok, i int) {
	kind := facts.Kind("")
	switch ts[i].text {
	case "KafkaProducer", "DefaultKafkaProducerFactory":
		kind = facts.Producer
	case "KafkaConsumer", "DefaultKafkaConsumerFactory":
		kind = facts.Consumer
	}
	if kind == "" || ts[i].kind != 'i' || i == 0 {
		return
	}
	before := ts[i-1].text
	if before != "new" && before != "=" && before != "return" { // the latter two: Kotlin
		return
	}
	open := i + 1
	if is(ts, open, "<") {
		for open < min(len(ts), i+40) && ts[open].text != "(" {
			open++
		}
	}
	if !is(ts, open, "(") {
		return
	}
	// What Spring builds from its own configuration is read there.
	if ps := parts(ts, open); len(ps) > 0 && strings.Contains(flatTokens(ps[0]), ".build") {
		return
	}
	g.add(ts, open, kind)
}

// hide notes the clients of a file whose settings were not seen.
func (sc *scanner) hide(path string, client facts.Client, g givenClients) {
	for _, h := range g.all {
		h.Client, h.File = client, path
		if len(sc.set.Hidden) < maxUnits {
			sc.set.Hidden = append(sc.set.Hidden, h)
		}
	}
}

func (g *goFile) hide(kind facts.Kind, client facts.Client, at ast.Node, given ast.Expr) {
	if isIdent(given, "nil") {
		return
	}
	var text strings.Builder
	if printer.Fprint(&text, g.fset, given) != nil {
		return
	}
	g.sc.hide(g.path, client, givenClients{[]facts.Hidden{{Kind: kind, Given: plainGiven(text.String()), Place: facts.Place{Line: g.line(at)}}}})
}

// written is an argument as it stands there, without what is in strings.
func written(ts []tok) string {
	var b strings.Builder
	for i, t := range ts[:min(len(ts), 40)] {
		if i > 0 && t.kind == 'i' && ts[i-1].kind == 'i' {
			b.WriteByte(' ')
		}
		if t.kind == 's' {
			b.WriteString("...")
			continue
		}
		b.WriteString(t.text)
	}
	return plainGiven(b.String())
}

// plainGiven is what may be printed: a name, a field, or a call without its arguments.
func plainGiven(text string) string {
	text = strings.TrimLeft(text, "&*")
	if i := strings.IndexAny(text, "([{"); i >= 0 {
		closed := map[byte]string{'(': "(...)", '[': "[...]", '{': "{...}"}[text[i]]
		text = text[:i] + closed
	}
	if len(text) > 80 || strings.ContainsAny(text, "\"'`\n") {
		return "what is not shown"
	}
	return text
}
