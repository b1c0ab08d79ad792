package config

import (
	"go/ast"
	"go/token"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var (
	writerFields = map[string]string{"RequiredAcks": "acks", "Balancer": "partitioner.class", "MaxAttempts": "retries", "Topic": "topic"}
	readerFields = map[string]string{"StartOffset": "auto.offset.reset", "SessionTimeout": "session.timeout.ms", "HeartbeatInterval": "heartbeat.interval.ms", "IsolationLevel": "isolation.level", "GroupID": "group.id"}
)

// literals reads the structs of kafka-go and the maps of confluent-kafka-go.
func (g *goFile) literals() {
	roles := g.roles()
	ast.Inspect(g.file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if call, is := n.(*ast.CallExpr); is {
			g.kafkaGoCall(call)
		}
		if !ok {
			return true
		}
		client, name := g.of(lit.Type)
		switch {
		case client == facts.KafkaGo && (name == "Writer" || name == "WriterConfig"):
			var defaults map[string]string
			if name == "WriterConfig" {
				defaults = map[string]string{"acks": "all"}
			}
			g.emit(facts.Producer, client, "", lit, g.fields(lit, writerFields), false, defaults)
		case client == facts.KafkaGo && name == "ReaderConfig":
			set := g.fields(lit, readerFields)
			grouped := false
			for _, e := range set {
				grouped = grouped || e.path == "group.id"
			}
			if !grouped {
				set = append(set, entry{path: "group.mode", text: "assign", line: g.line(lit)})
			}
			g.emit(facts.Consumer, client, "", lit, set, false, nil)
			if grouped {
				g.readMessage()
			}
		case client == facts.Librdkafka && name == "ConfigMap":
			g.configMap(lit, roles[lit])
		}
		return true
	})
}

// kafkaGoCall looks at what kafka-go's constructors are given: a literal of this file
// is read where it stands.
func (g *goFile) kafkaGoCall(call *ast.CallExpr) {
	c, name := g.of(call.Fun)
	kind := map[string]facts.Kind{"NewWriter": facts.Producer, "NewReader": facts.Consumer}[name]
	if c != facts.KafkaGo || kind == "" || len(call.Args) != 1 || literal(call.Args[0]) != nil {
		return
	}
	want := map[facts.Kind]string{facts.Producer: "WriterConfig", facts.Consumer: "ReaderConfig"}[kind]
	there := false
	ast.Inspect(g.file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok {
			_, name := g.of(lit.Type)
			there = there || name == want
		}
		return !there
	})
	if !there {
		g.hide(kind, c, call, call.Args[0])
	}
}

func (g *goFile) fields(lit *ast.CompositeLit, fields map[string]string) (set []entry) {
	for _, el := range lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, _ := kv.Key.(*ast.Ident)
		if key == nil || fields[key.Name] == "" {
			continue
		}
		v := kv.Value
		if u, ok := v.(*ast.UnaryExpr); ok && u.Op == token.AND {
			v = u.X
		}
		set = append(set, g.entry(fields[key.Name], key.Name, v, kv))
	}
	return set
}

// readMessage notes calls that commit by themselves.
func (g *goFile) readMessage() {
	ast.Inspect(g.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "ReadMessage" {
				g.sc.set.Mark("auto-commit", "ReadMessage commits before the record is handled", g.at(call))
			}
		}
		return true
	})
}

// roles are what the maps are given to.
func (g *goFile) roles() map[*ast.CompositeLit]facts.Kind {
	roles := map[*ast.CompositeLit]facts.Kind{}
	vars := map[string]*ast.CompositeLit{}
	ast.Inspect(g.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if i < len(n.Rhs) {
					if lit := literal(n.Rhs[i]); lit != nil {
						vars[strings.Join(chain(l), ".")] = lit
					}
				}
			}
		case *ast.CallExpr:
			c, name := g.of(n.Fun)
			if c != facts.Librdkafka || len(n.Args) == 0 {
				break
			}
			lit := literal(n.Args[0])
			if lit == nil {
				a := n.Args[0]
				if u, ok := a.(*ast.UnaryExpr); ok {
					a = u.X
				}
				lit = vars[strings.Join(chain(a), ".")]
			}
			kind := map[string]facts.Kind{"NewProducer": facts.Producer, "NewConsumer": facts.Consumer}[name]
			switch {
			case kind == "":
			case lit == nil:
				g.hide(kind, c, n, n.Args[0])
			default:
				roles[lit] = kind
			}
		}
		return true
	})
	return roles
}

func literal(e ast.Expr) *ast.CompositeLit {
	if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.AND {
		e = u.X
	}
	lit, _ := e.(*ast.CompositeLit)
	return lit
}

func (g *goFile) configMap(lit *ast.CompositeLit, role facts.Kind) {
	var entries []entry
	for _, el := range lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok := g.value(kv.Key)
		if !ok {
			continue
		}
		text, known := g.value(kv.Value)
		entries = append(entries, entry{path: key, text: text, open: !known, line: g.line(kv)})
	}
	s := source{file: g.path, line: g.line(lit), client: facts.Librdkafka, surely: true}
	if role != "" {
		s.kind = role
		g.sc.whole(s, entries)
		return
	}
	g.sc.add(s, entries)
}
