package config

import (
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// python reads dicts that are given to confluent_kafka's clients, or look as if they
// were, and the arguments of kafka-python's and aiokafka's (best effort: what comes
// from other files, or is put together, is not followed).
func (sc *scanner) python(path string, text []byte) string {
	src := string(text)
	if !strings.Contains(src, "kafka") && !strings.Contains(src, "bootstrap.servers") {
		return ""
	}
	ts := lex(src, true)
	rd := strings.Contains(src, "confluent_kafka")
	native := strings.Contains(src, "from kafka") || strings.Contains(src, "import kafka") || strings.Contains(src, "aiokafka")
	if rd || native {
		sc.set.Has[facts.Code] = true
	}
	roles := map[string]facts.Kind{} // of the variables that are given to clients
	shares := map[string]bool{}      // variables that are given to share consumers
	done := map[int]bool{}           // dicts that were read
	made := givenClients{}
	vars := variablesOf(ts)
	for i := range ts {
		sc.codeTopic(path, ts, i)
		switch {
		case (is(ts, i, "Producer", "(") || is(ts, i, "SerializingProducer", "(")) && rd:
			roles[argument(ts, i+1)] = facts.Producer
			if !sc.pythonDict(path, ts, i+2, facts.Producer, done, vars) {
				made.add(ts, i+1, facts.Producer)
			}
		case (is(ts, i, "Consumer", "(") || is(ts, i, "DeserializingConsumer", "(")) && rd:
			roles[argument(ts, i+1)] = facts.Consumer
			if !sc.pythonDict(path, ts, i+2, facts.Consumer, done, vars) {
				made.add(ts, i+1, facts.Consumer)
			}
		case is(ts, i, "ShareConsumer", "(") && rd:
			sc.set.Mark("share-group", "records of a share group come in any order", facts.Place{File: path, Line: ts[i].line})
			shares[argument(ts, i+1)] = true
			done[i+2] = true
		case native && pythonClients[ts[i].text].client != "" && is(ts, i+1, "("):
			c := pythonClients[ts[i].text]
			sc.pythonCall(path, ts, i+1, c.kind, c.client, vars)
		case is(ts, i, "key", "=") && (native || rd):
			sc.pythonKey(path, ts, i)
		}
	}
	for i := range ts {
		if ts[i].text != "{" || ts[i].kind != 'p' || done[i] || inside(ts, i) {
			continue
		}
		name := ""
		if i > 1 && ts[i-1].text == "=" && ts[i-2].kind == 'i' {
			name = ts[i-2].text
		}
		if !shares[name] && sc.pythonDict(path, ts, i, roles[name], done, vars) {
			made.seen(name)
		}
	}
	sc.hide(path, facts.Librdkafka, made)
	return ""
}

// argument is the variable that a call is given.
func argument(ts []tok, open int) string {
	ps := parts(ts, open)
	if len(ps) == 0 || len(ps[0])%2 == 0 {
		return "\x00"
	}
	for i, t := range ps[0] { // conf, self.conf
		if i%2 == 0 && t.kind != 'i' || i%2 == 1 && t.text != "." {
			return "\x00"
		}
	}
	return ps[0][len(ps[0])-1].text
}

// inside says that a bracket belongs to a value of another dict.
func inside(ts []tok, i int) bool { return i > 1 && ts[i-1].text == ":" && ts[i-2].kind == 's' }

// pythonDict reads a dict, and says whether there was one with settings.
func (sc *scanner) pythonDict(path string, ts []tok, i int, role facts.Kind, done map[int]bool, vars *variables) bool {
	if i >= len(ts) || ts[i].text != "{" || done[i] {
		return false
	}
	done[i] = true
	n := literalOf(ts[i:min(closing(ts, i)+1, len(ts))], 0)
	if n.form != 'm' || len(n.keys) == 0 {
		return false
	}
	entries := entriesOf(n)
	if slices.ContainsFunc(entries, func(e entry) bool { return e.path == "connector.class" || e.path == "config.connector.class" }) {
		sc.settings(source{file: path, line: ts[i].line}, entries)
		return true
	}
	known := 0
	for _, e := range entries {
		if facts.Known(e.path) && strings.Contains(e.path, ".") || aliases[e.path] != "" {
			known++
		}
	}
	s := source{file: path, line: ts[i].line, client: facts.Librdkafka, surely: true, partial: n.rest != nil}
	if i > 1 && ts[i-1].text == "=" && ts[i-2].kind == 'i' {
		more := vars.later(ts[i-2].text)
		entries = append(entries, more.set...)
		s.partial = s.partial || more.any
	}
	if role != "" {
		s.kind = role
		sc.whole(s, entries)
	} else if known >= 2 && slices.ContainsFunc(entries, func(e entry) bool { return e.path == "bootstrap.servers" || e.path == "metadata.broker.list" }) {
		sc.add(s, entries)
	}
	return true
}

// pythonClients are the clients whose settings are the arguments of a call.
var pythonClients = map[string]struct {
	kind   facts.Kind
	client facts.Client
}{
	"KafkaProducer": {facts.Producer, facts.KafkaPython}, "KafkaConsumer": {facts.Consumer, facts.KafkaPython},
	"AIOKafkaProducer": {facts.Producer, facts.AIOKafka}, "AIOKafkaConsumer": {facts.Consumer, facts.AIOKafka},
}

// pythonCall reads keyword arguments, and a mapping of them that stands in the file. A
// client with arguments that were not seen, and none that were, is named.
func (sc *scanner) pythonCall(path string, ts []tok, open int, kind facts.Kind, client facts.Client, vars *variables) {
	var entries []entry
	var unseen []tok
	for _, p := range pythonArgs(ts, open, vars) {
		if more := spread(p); more != nil {
			unseen = more
		}
		if len(p) < 3 || p[1].text != "=" && p[1].text != ":" || p[0].kind != 'i' && p[0].kind != 's' {
			continue
		}
		v := literalOf(p[2:], 0)
		e := entry{path: p[0].text, text: v.text, open: v.open, env: v.env, line: p[0].line}
		switch {
		case v.form == 's':
			var names []string
			for _, x := range v.vals {
				names = append(names, x.text)
			}
			e.text, e.open = strings.Join(names, ","), false
		case p[0].text == "partitioner":
			e.path, e.open = "partitioner.class", true
			if v.text == "None" || v.text == "" && !v.open {
				continue
			}
			if strings.Contains(v.text, "RoundRobin") || strings.Contains(v.text, "andom") {
				e.text, e.open = v.text, false
			}
		}
		e.raw = p[0].text
		entries = append(entries, e)
	}
	if unseen != nil && len(entries) == 0 {
		sc.hide(path, client, givenClients{[]facts.Hidden{{Kind: kind, Given: written(unseen), Place: facts.Place{Line: ts[open].line}}}})
		return
	}
	if kind == facts.Consumer && unseen == nil && !slices.ContainsFunc(entries, func(e entry) bool { return e.path == "group_id" }) {
		entries = append(entries, entry{path: "group.mode", raw: "group_id", text: "assign", line: ts[open].line}) // without a group nothing is committed
	}
	sc.whole(source{file: path, line: ts[open].line, client: client, kind: kind, surely: true, partial: unseen != nil}, entries)
}

// pythonArgs are the arguments of a call, with those of a dict that is spread there and
// is written once in the file.
func pythonArgs(ts []tok, open int, vars *variables) (out [][]tok) {
	for _, p := range parts(ts, open) {
		at := -1
		if more := spread(p); more != nil {
			if more[0].text == "{" {
				at = open + 1
				for at < len(ts) && &ts[at] != &more[0] {
					at++
				}
			} else {
				at = vars.mapping(more)
			}
		}
		if at < 0 || at >= len(ts) {
			out = append(out, p)
			continue
		}
		out = append(out, parts(ts, at)...)
	}
	return out
}

// pythonKey looks at the key of a send.
func (sc *scanner) pythonKey(path string, ts []tok, i int) {
	for j := i + 2; j < min(i+10, len(ts)); j++ {
		if t := ts[j].text; ts[j].kind == 'p' && (t == "," || t == ")" && j > i+6) {
			return
		}
		if is(ts, j, "uuid", ".") || is(ts, j, "uuid4", "(") || is(ts, j, "time", ".", "time") || is(ts, j, "datetime", ".", "now") {
			sc.set.Mark("unique-key", "the key is another one for each record", facts.Place{File: path, Line: ts[i].line})
			return
		}
	}
}
