package config

import (
	"go/ast"
	"go/token"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var kgoOptions = map[string]string{
	"RequiredAcks": "acks", "MaxProduceRequestsInflightPerBroker": "max.in.flight.requests.per.connection", "RecordRetries": "retries", "RecordDeliveryTimeout": "delivery.timeout.ms",
	"ProduceRequestTimeout": "request.timeout.ms", "RecordPartitioner": "partitioner.class", "TransactionalID": "transactional.id", "TransactionTimeout": "transaction.timeout.ms",
	"Balancers": "partition.assignment.strategy", "SessionTimeout": "session.timeout.ms", "HeartbeatInterval": "heartbeat.interval.ms", "InstanceID": "group.instance.id",
	"FetchIsolationLevel": "isolation.level", "ConsumeResetOffset": "auto.offset.reset", "ProducerOnDataLossDetected": "franz.data.loss", "StopProducerOnDataLossDetected": "franz.data.loss",
	"DefaultProduceTopic": "topic",
}

// franz takes the options of a function for those of one client.
func (g *goFile) franz(fn *ast.FuncDecl) {
	var at, unseen ast.Node
	var set []entry
	consumes, produces, assigns, grouped, shares := false, false, false, false, false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Produce" || s.Sel.Name == "ProduceSync" || s.Sel.Name == "TryProduce") {
			produces = true
		}
		c, name := g.of(call.Fun)
		if c != facts.FranzGo {
			return true
		}
		switch name {
		case "NewClient":
			at = call
			if e := g.unseen(fn, call.Args, call.Ellipsis.IsValid(), 0); e != nil {
				unseen = e
			}
		case "ConsumerGroup":
			consumes, grouped = true, true
		case "ConsumeTopics", "ConsumeRegex":
			consumes = true
		case "ConsumePartitions":
			consumes, assigns = true, true
		case "DisableIdempotentWrite":
			set, produces = append(set, entry{path: "enable.idempotence", raw: name, text: "false", line: g.line(call)}), true
		case "DisableAutoCommit", "AutoCommitMarks":
			set = append(set, entry{path: "enable.auto.commit", raw: name, text: "false", line: g.line(call)})
		case "AllowIdempotentProduceCancellation":
			g.sc.set.Mark("allow-cancellation", "an idempotent produce may be given up while it is under way", g.at(call))
		case "ShareGroup":
			g.sc.set.Mark("share-group", "records of a share group come in any order", g.at(call))
			shares = true
		}
		if to, ok := kgoOptions[name]; ok {
			e := entry{path: to, raw: name, text: "set", line: g.line(call)}
			if len(call.Args) > 0 && to != "franz.data.loss" {
				e = g.entry(to, name, call.Args[0], call)
			}
			if to == "auto.offset.reset" {
				e.text, e.open = offsetOf(call.Args[0]), false
			}
			set = append(set, e)
			produces = produces || to == "acks" || to == "max.in.flight.requests.per.connection" || to == "partitioner.class" || to == "topic" || to == "franz.data.loss" || to == "retries"
		}
		return true
	})
	if at == nil {
		return
	}
	partial := unseen != nil
	if partial && len(set) == 0 && !shares {
		g.hide(kindOf(produces, consumes), facts.FranzGo, at, unseen.(ast.Expr))
		return
	}
	if assigns || consumes && !grouped && !partial { // without a group nothing is committed
		set = append(set, entry{path: "group.mode", raw: "ConsumePartitions", text: "assign", line: g.line(at)})
	}
	if consumes && !shares { // a share group has no offsets, and other rules
		g.emit(facts.Consumer, facts.FranzGo, "", at, set, partial, nil)
	}
	if produces {
		g.emit(facts.Producer, facts.FranzGo, "", at, set, partial, nil)
	}
}

func kindOf(produces, consumes bool) facts.Kind {
	switch {
	case produces == consumes:
		return facts.Either
	case produces:
		return facts.Producer
	}
	return facts.Consumer
}

// unseen is the first of these options that is not written in the function itself; nil
// where all are.
func (g *goFile) unseen(fn *ast.FuncDecl, args []ast.Expr, spread bool, depth int) ast.Node {
	for i, e := range args {
		whole := spread && i == len(args)-1
		if !g.writtenHere(fn, e, whole, depth) {
			return e
		}
	}
	return nil
}

// writtenHere says that an option, or a slice of them, is made of the package's own
// calls in this function.
func (g *goFile) writtenHere(fn *ast.FuncDecl, e ast.Expr, slice bool, depth int) bool {
	if depth > 10 {
		return false
	}
	switch e := e.(type) {
	case *ast.CompositeLit:
		return g.unseen(fn, e.Elts, false, depth+1) == nil
	case *ast.CallExpr:
		switch {
		case slice && isIdent(e.Fun, "append") && len(e.Args) > 0:
			return g.writtenHere(fn, e.Args[0], true, depth+1) && g.unseen(fn, e.Args[1:], e.Ellipsis.IsValid(), depth+1) == nil
		case slice && isIdent(e.Fun, "make"):
			return true
		}
		c, _ := g.of(e.Fun)
		return !slice && c == facts.FranzGo
	case *ast.Ident:
		return e.Name == "nil" || g.variable(fn, e.Name, slice, depth)
	}
	return false
}

// maxLooks bounds the variables of a file that are followed.
const maxLooks = 200

// variable says that all that is put into a local variable is written here.
func (g *goFile) variable(fn *ast.FuncDecl, name string, slice bool, depth int) bool {
	if g.looks++; g.looks > maxLooks {
		return false
	}
	made, all := false, true
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec: // var opts []kgo.Opt
			for i, id := range n.Names {
				if id.Name == name {
					made = true
					all = all && (i >= len(n.Values) || g.writtenHere(fn, n.Values[i], slice, depth+1))
				}
			}
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if !isIdent(l, name) {
					continue
				}
				if len(n.Rhs) != len(n.Lhs) {
					all = false
					continue
				}
				if call, ok := n.Rhs[i].(*ast.CallExpr); ok && isIdent(call.Fun, "append") && len(call.Args) > 0 && isIdent(call.Args[0], name) {
					all = all && g.unseen(fn, call.Args[1:], call.Ellipsis.IsValid(), depth+1) == nil
					continue
				}
				made = made || n.Tok == token.DEFINE
				all = all && g.writtenHere(fn, n.Rhs[i], slice, depth+1)
			}
		}
		return all
	})
	return made && all
}

func offsetOf(e ast.Expr) string {
	text := ""
	ast.Inspect(e, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			switch s.Sel.Name {
			case "AtEnd":
				text = "latest"
			case "AtStart":
				text = "earliest"
			}
		}
		return text == ""
	})
	return text
}
