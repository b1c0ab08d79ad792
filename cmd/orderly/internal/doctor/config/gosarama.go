package config

import (
	"go/ast"
	"regexp"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var saramaFields = map[string]string{
	"Producer.RequiredAcks": "acks", "Producer.Idempotent": "enable.idempotence", "Producer.Retry.Max": "retries", "Net.MaxOpenRequests": "max.in.flight.requests.per.connection",
	"Producer.Partitioner": "partitioner.class", "Producer.Transaction.ID": "transactional.id", "Producer.Transaction.Timeout": "transaction.timeout.ms", "Producer.Timeout": "request.timeout.ms",
	"Consumer.Group.Session.Timeout": "session.timeout.ms", "Consumer.Group.Heartbeat.Interval": "heartbeat.interval.ms", "Consumer.Offsets.Initial": "auto.offset.reset",
	"Consumer.Offsets.AutoCommit.Enable": "enable.auto.commit", "Consumer.IsolationLevel": "isolation.level", "Consumer.Group.Rebalance.GroupStrategies": "partition.assignment.strategy",
	"Consumer.Group.Rebalance.Strategy": "partition.assignment.strategy", "Consumer.Group.InstanceId": "group.instance.id",
	"Producer.Return.Successes": "client.id", "Producer.Return.Errors": "client.id", "Producer.Compression": "client.id", "Producer.Flush.Frequency": "client.id", "Producer.MaxMessageBytes": "client.id",
	"Consumer.Return.Errors": "client.rack",
}

// saramaMakes are the constructors that are given a configuration.
var saramaMakes = map[string]facts.Kind{
	"NewSyncProducer": facts.Producer, "NewAsyncProducer": facts.Producer, "NewConsumer": facts.Consumer, "NewConsumerGroup": facts.Consumer,
}

// setter are names of functions that are given a configuration to set more of it;
// what is about security is not looked at.
var (
	setter   = regexp.MustCompile(`(?i)^(update|set|configure|apply|prepare|fill|override)`)
	security = regexp.MustCompile(`(?i)sasl|tls|ssl|auth|scram|secur|cert|kerberos`)
)

// sarama follows the configurations that a function makes.
func (g *goFile) sarama(fn *ast.FuncDecl) {
	type conf struct {
		at       ast.Node
		set      []entry
		produces bool
		consumes bool
		partial  bool // another function sets more
	}
	confs := map[string]*conf{}
	var order []string
	get := func(name string, at ast.Node) *conf {
		if confs[name] == nil {
			confs[name] = &conf{at: at}
			order = append(order, name)
		}
		return confs[name]
	}
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if len(n.Lhs) != len(n.Rhs) {
				break
			}
			for i, l := range n.Lhs {
				if call, ok := n.Rhs[i].(*ast.CallExpr); ok {
					if c, name := g.of(call.Fun); c == facts.Sarama && name == "NewConfig" {
						get(strings.Join(chain(l), "."), n)
						continue
					}
				}
				parts := chain(l)
				for cut := 1; cut < len(parts); cut++ {
					c := confs[strings.Join(parts[:cut], ".")]
					field := strings.Join(parts[cut:], ".")
					if c == nil {
						continue
					}
					if to, ok := saramaFields[field]; ok {
						e := g.entry(to, field, n.Rhs[i], n)
						if lit, ok := n.Rhs[i].(*ast.CompositeLit); ok && len(lit.Elts) > 0 {
							e = g.entry(to, field, lit.Elts[0], n)
						}
						c.set = append(c.set, e)
						c.produces = c.produces || strings.HasPrefix(field, "Producer.")
						c.consumes = c.consumes || strings.HasPrefix(field, "Consumer.")
					}
				}
			}
		case *ast.CallExpr:
			c, name := g.of(n.Fun)
			if parts := chain(n.Fun); c == "" && len(parts) > 0 && setter.MatchString(parts[len(parts)-1]) && !security.MatchString(parts[len(parts)-1]) {
				for _, arg := range n.Args {
					if k := confs[strings.Join(chain(arg), ".")]; k != nil {
						k.partial = true
					}
				}
			}
			if c != facts.Sarama || len(n.Args) == 0 {
				break
			}
			last := n.Args[len(n.Args)-1]
			if k := confs[strings.Join(chain(last), ".")]; k != nil {
				k.produces = k.produces || strings.Contains(name, "Producer")
				k.consumes = k.consumes || strings.Contains(name, "Consumer")
			} else if kind := saramaMakes[name]; kind != "" && len(n.Args) > 1 {
				g.hide(kind, c, n, last)
			}
		}
		return true
	})
	for _, name := range order {
		c := confs[name]
		if c.produces {
			g.emit(facts.Producer, facts.Sarama, "", c.at, c.set, c.partial, nil)
		}
		if c.consumes {
			g.emit(facts.Consumer, facts.Sarama, "", c.at, c.set, c.partial, nil)
		}
	}
}
