package config

import (
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
			sc.rdkafka(path, ts, i+2, facts.Producer)
		case rd && is(ts, i, ".", "KafkaConsumer", "("):
			sc.rdkafka(path, ts, i+2, facts.Consumer)
		case js && is(ts, i, ".", "producer", "("):
			sc.kafkajs(path, ts, i+2, facts.Producer, shared)
		case js && is(ts, i, ".", "consumer", "("):
			sc.kafkajs(path, ts, i+2, facts.Consumer, shared)
		}
	}
	return ""
}

// rdkafka joins the global and the topic's settings of node-rdkafka.
func (sc *scanner) rdkafka(path string, ts []tok, open int, kind facts.Kind) {
	var entries []entry
	partial := false
	for _, p := range parts(ts, open) {
		n := literalOf(p, 0)
		partial = partial || n.form != 'm'
		entries = append(entries, entriesOf(n)...)
	}
	sc.whole(source{file: path, line: ts[open].line, client: facts.Librdkafka, kind: kind, surely: true, partial: partial}, entries)
}

func (sc *scanner) kafkajs(path string, ts []tok, open int, kind facts.Kind, shared map[facts.Kind][]entry) {
	entries, partial := append([]entry{}, shared[kind]...), false
	for _, p := range parts(ts, open) {
		n := literalOf(p, 0)
		partial = partial || n.form != 'm'
		entries = append(entries, jsEntries(n)...)
	}
	sc.whole(source{file: path, line: ts[open].line, client: facts.KafkaJS, kind: kind, surely: true, partial: partial}, entries)
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
