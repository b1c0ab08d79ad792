package config

import (
	"go/ast"
	"go/token"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// marks looks for what a function does with records.
func (g *goFile) marks(fn *ast.FuncDecl) {
	handler := isHandler(fn.Type)
	manual, placed := 0, 0
	var first ast.Node
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			handler = handler || isHandler(n.Type)
		case *ast.CompositeLit:
			g.key(n)
			if c, name := g.of(n.Type); c == facts.Librdkafka && name == "TopicPartition" {
				for _, el := range n.Elts {
					if kv, ok := el.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "Partition") {
						if _, name := g.of(kv.Value); name == "PartitionAny" {
							placed++
						} else {
							manual++
							first = n
						}
					}
				}
			}
		case *ast.CallExpr:
			c, name := g.of(n.Fun)
			if handler && (strings.HasPrefix(name, "NewSyncProducer") || strings.HasPrefix(name, "NewAsyncProducer") || c == facts.KafkaGo && name == "NewWriter" || c == facts.Librdkafka && name == "NewProducer") {
				g.say("producer-per-request", n, "%s is called for each request", name)
			}
			g.resend(n)
		case *ast.RangeStmt:
			if yields(n.X, "Messages") {
				g.loop(n.Body)
			}
			if yields(n.X, "Errors") && calls(n.Body, "Input", "SendMessage") != nil {
				g.say("resend", n, "messages that failed are given to the producer again")
			}
		case *ast.ForStmt:
			if calls(n.Body, "FetchMessage", "ReadMessage", "PollFetches", "PollRecords") != nil {
				g.loop(n.Body)
			}
		}
		return true
	})
	if manual > 0 && placed > 0 {
		g.say("mixed-partition", first, "some messages name their partition, others leave it to the partitioner")
	}
}

// isHandler says that a function is called for each request.
func isHandler(t *ast.FuncType) bool {
	for _, p := range t.Params.List {
		e := p.Type
		if s, ok := e.(*ast.StarExpr); ok {
			e = s.X
		}
		if c := chain(e); len(c) == 2 && (c[1] == "ResponseWriter" || c[0] == "gin" && c[1] == "Context" || c[0] == "echo" && c[1] == "Context" || c[0] == "fiber" && c[1] == "Ctx") {
			return true
		}
	}
	return false
}

// yields says that an expression is a call of a method with this name.
func yields(e ast.Expr, method string) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	s, ok := call.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == method
}

// calls finds a call of one of these methods.
func calls(n ast.Node, methods ...string) (found *ast.CallExpr) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && found == nil {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				for _, m := range methods {
					if s.Sel.Name == m {
						found = call
					}
				}
			}
		}
		return found == nil
	})
	return found
}

var commits = []string{"MarkMessage", "MarkOffset", "CommitMessages", "CommitRecords", "MarkCommitRecords", "CommitMessage", "StoreMessage"}

// loop looks at what is done with each record of a loop over records.
func (g *goFile) loop(body *ast.BlockStmt) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if c := calls(n, commits...); c != nil {
				g.say("worker-commit", c, "a goroutine commits its own record, whatever the others do")
			} else {
				g.say("async-handoff", n, "a goroutine for each record: they end in any order")
			}
			return false
		case *ast.BlockStmt:
			g.ignored(n.List)
		}
		return true
	})
}

// ignored finds an error that is only logged, before a commit.
func (g *goFile) ignored(stmts []ast.Stmt) {
	for i, st := range stmts {
		cond, ok := st.(*ast.IfStmt)
		if !ok || cond.Else != nil || !errNotNil(cond.Cond) || len(cond.Body.List) == 0 || calls(cond, "FetchMessage", "ReadMessage") != nil || i > 0 && calls(stmts[i-1], "FetchMessage", "ReadMessage") != nil {
			continue
		}
		logs := true
		for _, s := range cond.Body.List {
			e, ok := s.(*ast.ExprStmt)
			logs = logs && ok && isLog(e.X)
		}
		if !logs {
			continue
		}
		for _, later := range stmts[i+1 : min(i+20, len(stmts))] {
			if calls(later, commits...) != nil {
				g.say("error-ignored", cond, "the error is logged, and the record is committed all the same")
				break
			}
		}
	}
}

func errNotNil(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && b.Op == token.NEQ && isIdent(b.Y, "nil")
}

func isLog(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	c := strings.ToLower(strings.Join(chain(call.Fun), "."))
	return strings.Contains(c, "log") || strings.HasPrefix(c, "fmt.print") || strings.Contains(c, "slog")
}

// key looks at the key of a record that is made.
func (g *goFile) key(lit *ast.CompositeLit) {
	c, name := g.of(lit.Type)
	if c == "" || name != "Record" && name != "Message" && name != "ProducerMessage" {
		return
	}
	for _, el := range lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok || !isIdent(kv.Key, "Key") {
			continue
		}
		ast.Inspect(kv.Value, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if c := chain(call.Fun); len(c) > 1 && (c[0] == "uuid" || c[0] == "ulid" || c[0] == "xid" || c[0] == "ksuid" || c[0] == "time" && c[1] == "Now" || c[0] == "rand") {
				g.say("unique-key", kv, "the key is %s: another one for each record", strings.Join(c, "."))
				return false
			}
			return true
		})
	}
}

// resend finds a producer's callback that gives a failed record to the producer.
func (g *goFile) resend(call *ast.CallExpr) {
	s, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Produce" {
		return
	}
	for _, a := range call.Args {
		f, ok := a.(*ast.FuncLit)
		if !ok {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if i, ok := n.(*ast.IfStmt); ok && errNotNil(i.Cond) {
				if c := calls(i.Body, "Produce", "ProduceSync", "TryProduce"); c != nil {
					g.say("resend", c, "a record that failed is produced again, behind later ones")
				}
			}
			return true
		})
	}
}
