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
}

var goPackages = []struct {
	path   string
	name   string
	client facts.Client
}{
	{"github.com/IBM/sarama", "sarama", facts.Sarama}, {"github.com/Shopify/sarama", "sarama", facts.Sarama}, {"gopkg.in/Shopify/sarama.v1", "sarama", facts.Sarama},
	{"github.com/twmb/franz-go/pkg/kgo", "kgo", facts.FranzGo}, {"github.com/segmentio/kafka-go", "kafka", facts.KafkaGo},
	{"github.com/confluentinc/confluent-kafka-go", "kafka", facts.Librdkafka},
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

var saramaFields = map[string]string{
	"Producer.RequiredAcks": "acks", "Producer.Idempotent": "enable.idempotence", "Producer.Retry.Max": "retries", "Net.MaxOpenRequests": "max.in.flight.requests.per.connection",
	"Producer.Partitioner": "partitioner.class", "Producer.Transaction.ID": "transactional.id", "Producer.Transaction.Timeout": "transaction.timeout.ms", "Producer.Timeout": "request.timeout.ms",
	"Consumer.Group.Session.Timeout": "session.timeout.ms", "Consumer.Group.Heartbeat.Interval": "heartbeat.interval.ms", "Consumer.Offsets.Initial": "auto.offset.reset",
	"Consumer.Offsets.AutoCommit.Enable": "enable.auto.commit", "Consumer.IsolationLevel": "isolation.level", "Consumer.Group.Rebalance.GroupStrategies": "partition.assignment.strategy",
	"Consumer.Group.Rebalance.Strategy": "partition.assignment.strategy", "Consumer.Group.InstanceId": "group.instance.id",
	"Producer.Return.Successes": "client.id", "Producer.Return.Errors": "client.id", "Producer.Compression": "client.id", "Producer.Flush.Frequency": "client.id", "Producer.MaxMessageBytes": "client.id",
	"Consumer.Return.Errors": "client.rack",
}

// sarama follows the configurations that a function makes.
func (g *goFile) sarama(fn *ast.FuncDecl) {
	type conf struct {
		at       ast.Node
		set      []entry
		produces bool
		consumes bool
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
			if c != facts.Sarama || len(n.Args) == 0 {
				break
			}
			if k := confs[strings.Join(chain(n.Args[len(n.Args)-1]), ".")]; k != nil {
				k.produces = k.produces || strings.Contains(name, "Producer")
				k.consumes = k.consumes || strings.Contains(name, "Consumer")
			}
		}
		return true
	})
	for _, name := range order {
		c := confs[name]
		if c.produces {
			g.emit(facts.Producer, facts.Sarama, "", c.at, c.set, false, nil)
		}
		if c.consumes {
			g.emit(facts.Consumer, facts.Sarama, "", c.at, c.set, false, nil)
		}
	}
}

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

var (
	writerFields = map[string]string{"RequiredAcks": "acks", "Balancer": "partitioner.class", "MaxAttempts": "retries", "Topic": "topic"}
	readerFields = map[string]string{"StartOffset": "auto.offset.reset", "SessionTimeout": "session.timeout.ms", "HeartbeatInterval": "heartbeat.interval.ms", "IsolationLevel": "isolation.level", "GroupID": "group.id"}
)

// literals reads the structs of kafka-go and the maps of confluent-kafka-go.
func (g *goFile) literals() {
	roles := g.roles()
	ast.Inspect(g.file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
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
			switch name {
			case "NewProducer":
				roles[lit] = facts.Producer
			case "NewConsumer":
				roles[lit] = facts.Consumer
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

// say marks what code does.
func (g *goFile) say(what string, at ast.Node, text string, args ...any) {
	g.sc.set.Mark(what, fmt.Sprintf(text, args...), g.at(at))
}
