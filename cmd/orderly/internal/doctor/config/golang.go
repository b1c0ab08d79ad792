package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// A goFile is Go source with what it calls the clients.
type goFile struct {
	sc    *scanner
	path  string
	fset  *token.FileSet
	file  *ast.File
	names map[string]facts.Client // by the name under which the package is imported
	looks int                     // how often a function was searched for a variable
}

var goPackages = []struct {
	path   string
	name   string
	client facts.Client
}{
	{"github.com/IBM/sarama", "sarama", facts.Sarama}, {"github.com/Shopify/sarama", "sarama", facts.Sarama}, {"gopkg.in/Shopify/sarama.v1", "sarama", facts.Sarama},
	{"github.com/twmb/franz-go/pkg/kgo", "kgo", facts.FranzGo}, {"github.com/segmentio/kafka-go", "kafka", facts.KafkaGo},
	{"github.com/confluentinc/confluent-kafka-go", "kafka", facts.Librdkafka}, {"gopkg.in/confluentinc/confluent-kafka-go", "kafka", facts.Librdkafka},
}

// golang reads Go source by its syntax: settings of the four clients, and what the
// code does with records. Values that other functions give are "decided elsewhere".
func (sc *scanner) golang(path string, text []byte) string {
	if deepest(text) > 100 {
		return "brackets too deep for a program"
	}
	g := &goFile{sc: sc, path: path, fset: token.NewFileSet(), names: map[string]facts.Client{}}
	file, err := parser.ParseFile(g.fset, path, text, parser.SkipObjectResolution)
	if err != nil || file == nil {
		return "not valid Go: half written?"
	}
	g.file = file
	for _, imp := range file.Imports {
		p, _ := strconv.Unquote(imp.Path.Value)
		for _, k := range goPackages {
			if p == k.path || k.client == facts.Librdkafka && strings.HasPrefix(p, k.path) && strings.HasSuffix(p, "/kafka") {
				name := k.name
				if imp.Name != nil {
					name = imp.Name.Name
				}
				g.names[name] = k.client
			}
		}
	}
	if len(g.names) == 0 {
		return ""
	}
	sc.set.Has[facts.Code] = true
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
			g.sarama(fn)
			g.franz(fn)
			g.marks(fn)
		}
	}
	g.literals()
	return ""
}

func (g *goFile) line(n ast.Node) int { return g.fset.Position(n.Pos()).Line }

func (g *goFile) at(n ast.Node) facts.Place { return facts.Place{File: g.path, Line: g.line(n)} }

// of is the client that a selector such as kgo.NewClient belongs to, and the name.
func (g *goFile) of(e ast.Expr) (facts.Client, string) {
	if ix, ok := e.(*ast.IndexExpr); ok {
		e = ix.X
	}
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return g.names[x.Name], s.Sel.Name
		}
	}
	return "", ""
}

// chain is a.b.c as its parts.
func chain(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.Ident:
		return []string{e.Name}
	case *ast.SelectorExpr:
		if c := chain(e.X); c != nil {
			return append(c, e.Sel.Name)
		}
	}
	return nil
}

// value reads a literal, a constant of a package, or a product of durations.
func (g *goFile) value(e ast.Expr) (text string, known bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
		return strings.ReplaceAll(e.Value, "_", ""), true
	case *ast.Ident:
		return e.Name, e.Name == "true" || e.Name == "false"
	case *ast.UnaryExpr:
		t, ok := g.value(e.X)
		return e.Op.String() + t, ok && e.Op == token.SUB
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if d, ok := goDurations[x.Name+"."+e.Sel.Name]; ok {
				return strconv.FormatInt(int64(d), 10), true
			}
			return e.Sel.Name, g.names[x.Name] != "" || x.Name == "math" && e.Sel.Name == "MaxInt32"
		}
	case *ast.ParenExpr:
		return g.value(e.X)
	case *ast.CompositeLit, *ast.FuncLit:
		if c, ok := e.(*ast.CompositeLit); ok {
			_, name := g.of(c.Type)
			return name, name != ""
		}
	case *ast.CallExpr: // kgo.AllISRAcks(), time.Duration(3)
		if c, name := g.of(e.Fun); c != "" {
			return name, true
		}
		if len(e.Args) == 1 && (isIdent(e.Fun, "string") || isIdent(e.Fun, "int") || isIdent(e.Fun, "int16")) {
			return g.value(e.Args[0])
		}
	case *ast.BinaryExpr:
		a, ok1 := g.value(e.X)
		b, ok2 := g.value(e.Y)
		x, err1 := strconv.ParseInt(a, 10, 64)
		y, err2 := strconv.ParseInt(b, 10, 64)
		if ok1 && ok2 && err1 == nil && err2 == nil && e.Op == token.MUL {
			return strconv.FormatInt(x*y, 10), true
		}
	}
	return "", false
}

func isIdent(e ast.Expr, name string) bool { x, ok := e.(*ast.Ident); return ok && x.Name == name }

var goDurations = map[string]time.Duration{
	"time.Nanosecond": 1, "time.Microsecond": time.Microsecond, "time.Millisecond": time.Millisecond, "time.Second": time.Second, "time.Minute": time.Minute, "time.Hour": time.Hour,
}

// entry makes a setting of an expression. Durations become milliseconds.
func (g *goFile) entry(name, written string, e ast.Expr, at ast.Node) entry {
	text, known := g.value(e)
	if known && strings.HasSuffix(name, ".ms") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 1000 {
			text = strconv.FormatInt(n/1_000_000, 10)
		}
	}
	if to, ok := goValues[name+"="+text]; ok {
		text = to
	}
	return entry{path: name, raw: written, text: text, open: !known, line: g.line(at)}
}

// goValues are constants of the clients as Kafka writes them.
var goValues = map[string]string{
	"acks=WaitForAll": "all", "acks=WaitForLocal": "1", "acks=NoResponse": "0", "acks=AllISRAcks": "all", "acks=LeaderAck": "1", "acks=NoAck": "0",
	"acks=RequireAll": "all", "acks=RequireOne": "1", "acks=RequireNone": "0", "acks=-1": "all",
	"auto.offset.reset=OffsetNewest": "latest", "auto.offset.reset=OffsetOldest": "earliest", "auto.offset.reset=LastOffset": "latest", "auto.offset.reset=FirstOffset": "earliest",
	"auto.offset.reset=-1": "latest", "auto.offset.reset=-2": "earliest", "isolation.level=ReadCommitted": "read_committed", "isolation.level=ReadUncommitted": "read_uncommitted",
	"partition.assignment.strategy=CooperativeStickyBalancer": "cooperative-sticky", "partition.assignment.strategy=RangeBalancer": "range",
	"partition.assignment.strategy=RoundRobinBalancer": "roundrobin", "partition.assignment.strategy=StickyBalancer": "sticky",
	"partition.assignment.strategy=NewBalanceStrategyRange": "range", "partition.assignment.strategy=NewBalanceStrategyRoundRobin": "roundrobin", "partition.assignment.strategy=NewBalanceStrategySticky": "sticky",
	"partitioner.class=RoundRobinPartitioner": "RoundRobinPartitioner", "partitioner.class=NewRandomPartitioner": "RandomPartitioner", "partitioner.class=NewRoundRobinPartitioner": "RoundRobinPartitioner",
	"retries=MaxInt32": "2147483647",
}

// emit makes one unit.
func (g *goFile) emit(kind facts.Kind, client facts.Client, name string, at ast.Node, entries []entry, partial bool, defaults map[string]string) {
	s := source{file: g.path, line: g.line(at), client: client, kind: kind, name: name, partial: partial, surely: true, defaults: defaults}
	x := &section{set: map[string]facts.Value{}, own: 1}
	for _, e := range entries {
		x.set[e.path] = e.value(g.path)
	}
	g.sc.unit(s, x, kind)
}

// say marks what code does.
func (g *goFile) say(what string, at ast.Node, text string, args ...any) {
	g.sc.set.Mark(what, fmt.Sprintf(text, args...), g.at(at))
}
