package config

import (
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var kafkajsFields = map[string]string{
	"idempotent": "enable.idempotence", "maxInFlightRequests": "max.in.flight.requests.per.connection", "transactionalId": "transactional.id", "createPartitioner": "partitioner.class",
	"transactionTimeout": "transaction.timeout.ms", "retry.retries": "retries", "acks": "acks", "sessionTimeout": "session.timeout.ms", "heartbeatInterval": "heartbeat.interval.ms",
	"groupId": "group.id", "readUncommitted": "isolation.level", "autoCommit": "enable.auto.commit", "fromBeginning": "auto.offset.reset", "partitionAssigners": "partition.assignment.strategy",
	"allowAutoTopicCreation": "allow.auto.create.topics",
}

// javascript reads what is given to KafkaJS (best effort: options that come from
// other files are not followed) and to node-rdkafka.
func (sc *scanner) javascript(path string, text []byte) string {
	src := string(text)
	if !strings.Contains(src, "kafka") {
		return ""
	}
	ts := lex(src, false)
	rd := strings.Contains(src, "node-rdkafka")
	js := strings.Contains(src, "kafkajs") || strings.Contains(src, "new Kafka(")
	if rd || js {
		sc.set.Has[facts.Code] = true
	}
	vars := variablesOf(ts)
	// Options of sends, runs and subscriptions belong to the clients of the file.
	shared := map[facts.Kind][]entry{}
	take := func(kind facts.Kind, i int, names ...string) {
		for _, p := range parts(ts, i) {
			for _, e := range jsEntries(literalOf(p, 0)) {
				for _, name := range names {
					if e.raw == name {
						shared[kind] = append(shared[kind], e)
					}
				}
			}
		}
	}
	for i := range ts {
		switch {
		case js && is(ts, i, ".", "send", "("), js && is(ts, i, ".", "sendBatch", "("):
			take(facts.Producer, i+2, "acks")
			sc.jsKey(path, ts, i+2)
		case js && is(ts, i, ".", "run", "("):
			take(facts.Consumer, i+2, "autoCommit")
		case js && is(ts, i, ".", "subscribe", "("):
			take(facts.Consumer, i+2, "fromBeginning")
		case js && is(ts, i, "new", "Kafka", "("):
			take(facts.Producer, i+2, "retry.retries")
		}
	}
	for i := range ts {
		switch {
		case rd && (is(ts, i, ".", "Producer", "(") || is(ts, i, ".", "HighLevelProducer", "(")):
			sc.rdkafka(path, ts, i+2, facts.Producer, vars)
		case rd && is(ts, i, ".", "KafkaConsumer", "("):
			sc.rdkafka(path, ts, i+2, facts.Consumer, vars)
		case js && is(ts, i, ".", "producer", "("):
			sc.kafkajs(path, ts, i+2, facts.Producer, shared, vars)
		case js && is(ts, i, ".", "consumer", "("):
			sc.kafkajs(path, ts, i+2, facts.Consumer, shared, vars)
		}
	}
	return ""
}

// rdkafka joins the global and the topic's settings of node-rdkafka.
func (sc *scanner) rdkafka(path string, ts []tok, open int, kind facts.Kind, vars *variables) {
	sc.jsClient(path, ts, open, vars, source{client: facts.Librdkafka, kind: kind}, nil, entriesOf)
}

func (sc *scanner) kafkajs(path string, ts []tok, open int, kind facts.Kind, shared map[facts.Kind][]entry, vars *variables) {
	sc.jsClient(path, ts, open, vars, source{client: facts.KafkaJS, kind: kind}, shared[kind], jsEntries)
}

// jsClient reads the objects that a client is made with, there or in a variable of the
// file. A client whose settings were not seen is named.
func (sc *scanner) jsClient(path string, ts []tok, open int, vars *variables, s source, entries []entry, read func(*node) []entry) {
	entries = slices.Clone(entries)
	var unseen []tok
	for _, p := range parts(ts, open) {
		if len(p) == 1 && p[0].kind != 'i' {
			return // another method of the same name: options are no string
		}
		n := literalOf(p, 0)
		if n.form != 'm' {
			if at := vars.mapping(p); at >= 0 && ts[at].text == "{" {
				n = literalOf(ts[at:closing(ts, at)+1], 0)
			}
		}
		if n.form != 'm' {
			unseen = p
			continue
		}
		if n.rest != nil {
			unseen = n.rest
		}
		entries = append(entries, read(n)...)
	}
	if unseen != nil && len(entries) == 0 {
		if s.client == facts.KafkaJS && !ofKafka(ts, open-2, vars) {
			return
		}
		sc.hide(path, s.client, givenClients{[]facts.Hidden{{Kind: s.kind, Given: written(unseen), Place: facts.Place{Line: ts[open].line}}}})
		return
	}
	s.file, s.line, s.surely, s.partial = path, ts[open].line, true, unseen != nil
	sc.whole(s, entries)
}

// ofKafka says that a method is one of a KafkaJS client: the name before its dot says
// so, or what was put into it.
func ofKafka(ts []tok, dot int, vars *variables) bool {
	if dot < 1 || !is(ts, dot, ".") {
		return false
	}
	name := ts[dot-1]
	if name.text == ")" || strings.Contains(strings.ToLower(name.text), "kafka") {
		return true
	}
	made, ok := vars.kafka[name.text]
	if !ok {
		made = slices.ContainsFunc(vars.at[name.text], func(i int) bool { return is(ts, i+1, "=", "new", "Kafka", "(") })
		vars.kafka[name.text] = made
	}
	return made
}

func jsEntries(n *node) (out []entry) {
	if n.form != 'm' {
		return nil
	}
	for _, e := range entriesOf(n) {
		to, ok := kafkajsFields[e.path]
		if !ok {
			continue
		}
		e.raw, e.path = e.path, to
		switch to {
		case "partitioner.class":
			e.open = !strings.Contains(e.text, "Partitioners.")
		case "isolation.level":
			e.text = map[string]string{"true": "read_uncommitted", "false": "read_committed"}[e.text]
		case "auto.offset.reset":
			e.text = map[string]string{"true": "earliest", "false": "latest"}[e.text]
		case "acks":
			e.open = e.open && e.text == ""
		}
		out = append(out, e)
	}
	return out
}

// jsKey looks at the keys of messages that are sent.
func (sc *scanner) jsKey(path string, ts []tok, open int) {
	end := min(closing(ts, open), open+400)
	for i := open; i < end; i++ {
		if !is(ts, i, "key", ":") {
			continue
		}
		for j := i + 2; j < min(i+8, end) && ts[j].text != ","; j++ {
			if is(ts, j, "uuid") || is(ts, j, "uuidv4") || is(ts, j, "randomUUID") || is(ts, j, "Date", ".", "now") || is(ts, j, "Math", ".", "random") {
				sc.set.Mark("unique-key", "the key is another one for each message", facts.Place{File: path, Line: ts[i].line})
				break
			}
		}
	}
}
