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
	var at ast.Node
	var set []entry
	consumes, produces, assigns, partial := false, false, false, false
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
			partial = partial || call.Ellipsis.IsValid() && !madeHere(fn, call.Args[len(call.Args)-1])
		case "ConsumeTopics", "ConsumerGroup", "ConsumeRegex":
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
	if assigns {
		set = append(set, entry{path: "group.mode", raw: "ConsumePartitions", text: "assign", line: g.line(at)})
	}
	if consumes {
		g.emit(facts.Consumer, facts.FranzGo, "", at, set, partial, nil)
	}
	if produces {
		g.emit(facts.Producer, facts.FranzGo, "", at, set, partial, nil)
	}
}

// madeHere says that a slice of options is written in the function itself.
func madeHere(fn *ast.FuncDecl, e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	for _, f := range fn.Type.Params.List {
		for _, n := range f.Names {
			if n.Name == id.Name {
				return false
			}
		}
	}
	found := false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && a.Tok == token.DEFINE && len(a.Lhs) == 1 && isIdent(a.Lhs[0], id.Name) {
			_, found = a.Rhs[0].(*ast.CompositeLit)
		}
		return !found
	})
	return found
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
