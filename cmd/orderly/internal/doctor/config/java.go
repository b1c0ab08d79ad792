package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// javaMap is a Properties or Map that a method fills.
type javaMap struct {
	line    int
	role    facts.Kind
	partial bool // it was not empty, or is handed on: others fill it too
	entries []entry
}

// java reads the calls that fill properties, and what listeners do, in Java and
// Kotlin. It is best effort: values of fields, other methods and other files are not
// followed; such a value counts as decided elsewhere.
func (sc *scanner) java(path string, text []byte) string {
	src := string(text)
	if !strings.Contains(src, "kafka") {
		return ""
	}
	ts := lex(src, false)
	sc.set.Has[facts.Code] = true
	j := &javaFile{sc: sc, path: path, ts: ts}
	maps := map[string]*javaMap{}
	classes := imports(ts)
	var order []string
	filled := map[string]bool{}
	put := func(name string, key, val []tok) {
		e, role, ok := javaSetting(key, val)
		if !ok {
			return
		}
		if full := classes[e.text]; full != "" && e.path == "partitioner.class" {
			e.text = full
		}
		m := maps[name]
		if m == nil {
			m = &javaMap{line: key[0].line, partial: filled[name]}
			maps[name] = m
			order = append(order, name)
		}
		if m.role == "" {
			m.role = role
		}
		m.entries = append(m.entries, e)
	}
	method := 0
	made := givenClients{}
	for i := range ts {
		made.java(ts, i)
		switch {
		case ts[i].kind == 'i' && (i+2 < len(ts)) && is(ts, i+1, "(") && endsWithBody(ts, i+1):
			method++
		case is(ts, i, "=") && i > 0 && ts[i-1].kind == 'i' && !is(ts, i+1, "="):
			filled[ts[i-1].text+strconv.Itoa(method)] = takesOver(ts, i+1)
		case is(ts, i, ".", "putAll", "(") && i > 0:
			filled[ts[i-1].text+strconv.Itoa(method)] = true
			if m := maps[ts[i-1].text+strconv.Itoa(method)]; m != nil {
				m.partial = true
			}
		case is(ts, i, ".", "put", "(") || is(ts, i, ".", "setProperty", "(") || is(ts, i, ".", "putIfAbsent", "("):
			if ps := parts(ts, i+2); len(ps) == 2 && i > 0 {
				put(ts[i-1].text+strconv.Itoa(method), ps[0], ps[1])
			}
		case ts[i].text == "[" && ts[i].kind == 'p' && i > 0 && ts[i-1].kind == 'i': // Kotlin: props[KEY] = value
			if end := closing(ts, i); is(ts, end+1, "=") && !is(ts, end+2, "=") {
				stop := end + 2
				for stop < min(len(ts), end+200) && ts[stop].line == ts[end].line && ts[stop].text != ";" {
					stop++
				}
				put(ts[i-1].text+strconv.Itoa(method), ts[i+1:end], ts[end+2:stop])
			}
		case is(ts, i, "Map", ".", "of", "("):
			ps := parts(ts, i+3)
			for k := 0; k+1 < len(ps); k += 2 {
				put("Map.of"+strconv.Itoa(i), ps[k], ps[k+1])
			}
		case is(ts, i, "Map", ".", "entry", "("), is(ts, i, "entry", "(") && i > 0 && ts[i-1].text != ".":
			open := i + 1
			if ts[i].text == "Map" {
				open = i + 3
			}
			if ps := parts(ts, open); len(ps) == 2 {
				put("entries"+strconv.Itoa(method), ps[0], ps[1])
			}
		case is(ts, i, "to") && i > 0 && i+1 < len(ts) && strings.HasSuffix(ts[i-1].text, "_CONFIG"): // Kotlin: KEY to value
			start := i - 1
			for start > 1 && ts[start-1].text == "." {
				start -= 2
			}
			stop := i + 1
			for stop < min(len(ts), i+200) && ts[stop].text != "," && ts[stop].text != ")" {
				stop++
			}
			put("to"+strconv.Itoa(method), ts[max(start, 0):i], ts[i+1:stop])
		}
		sc.codeTopic(path, ts, i)
		j.marks(i)
	}
	listens := strings.Contains(src, "DefaultKafkaConsumerFactory") || strings.Contains(src, "KafkaListenerContainerFactory")
	foreign := strings.Contains(src, "org.apache.flink") || strings.Contains(src, "org.apache.spark") // which commit in their own way
	for _, m := range maps {
		made.seenKind(m.role)
	}
	sc.hide(path, facts.Java, made)
	for _, name := range order {
		m := maps[name]
		s := source{file: path, line: m.line, client: facts.Java, kind: m.role, partial: m.partial || foreign}
		if listens {
			s.defaults = map[string]string{"enable.auto.commit": "false"} // Spring's containers commit by themselves
			s.habit = "Spring Kafka"
		}
		if m.role != "" {
			s.surely = true
			sc.whole(s, m.entries)
			continue
		}
		sc.add(s, m.entries)
	}
	return ""
}

// takesOver says that a variable begins with what another place has put together: a
// call that is no constructor, or a constructor with a map as its argument.
func takesOver(ts []tok, i int) bool {
	isNew := is(ts, i, "new")
	if isNew {
		i++
	}
	for ; i < len(ts) && ts[i].text != "(" && ts[i].text != ";" && ts[i].text != "{"; i++ {
		if ts[i].text == "Properties" || strings.HasSuffix(ts[i].text, "Map") || ts[i].text == "mutableMapOf" || ts[i].text == "mapOf" {
			isNew = true
		}
		if i > 0 && ts[i].line != ts[i-1].line {
			return false
		}
	}
	if !is(ts, i, "(") {
		return false
	}
	if isNew {
		ps := parts(ts, i)
		return len(ps) == 1 && len(ps[0]) > 0 && ps[0][len(ps[0])-1].kind != 'n' && !slices.ContainsFunc(ps[0], func(t tok) bool { return t.text == "to" || t.text == "," })
	}
	return true
}

// endsWithBody says that a bracket of arguments is followed by a body: a method.
func endsWithBody(ts []tok, open int) bool {
	end := closing(ts, open)
	for k := end + 1; k < min(end+8, len(ts)); k++ {
		switch ts[k].text {
		case "{":
			return true
		case ";", ")", ".", ",", "}":
			return false
		}
	}
	return false
}

// javaSetting reads a name, as text or as a constant, and its value.
func javaSetting(key, val []tok) (e entry, role facts.Kind, ok bool) {
	if len(key) == 0 || len(val) == 0 || len(key) > 20 {
		return e, "", false
	}
	last := key[len(key)-1]
	name := last.text
	if last.kind == 'i' {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_CONFIG"), "_DOC")
		name = strings.ReplaceAll(strings.ToLower(name), "_", ".")
		name = strings.Replace(name, "serializer.class", "serializer", 1) // KEY_SERIALIZER_CLASS_CONFIG
		if len(key) > 1 {
			switch key[0].text {
			case "ProducerConfig":
				role = facts.Producer
			case "ConsumerConfig":
				role = facts.Consumer
			}
		}
	}
	if c, known := known(name); !known {
		return e, role, false
	} else {
		name = c
	}
	v := literalOf(val, 0)
	e = entry{path: name, raw: name, text: v.text, open: v.open, env: v.env, line: key[0].line}
	switch t := v.text; {
	case t == "Integer.MAX_VALUE":
		e.text, e.open = "2147483647", false
	case strings.HasSuffix(t, ".class"):
		e.text, e.open = strings.TrimSuffix(t, ".class"), false
	case strings.HasPrefix(t, "Boolean."):
		e.text, e.open = strings.ToLower(strings.TrimPrefix(t, "Boolean.")), false
	case v.form == 's':
		e.open = true
	case t == "UUID.randomUUID" || strings.Contains(flatTokens(val), "randomUUID"):
		e.text, e.open = "random", false
	}
	return e, role, true
}

func flatTokens(ts []tok) string {
	var b strings.Builder
	for _, t := range ts[:min(len(ts), 200)] {
		if t.kind != 's' {
			b.WriteString(t.text)
		}
	}
	return b.String()
}

type javaFile struct {
	sc       *scanner
	path     string
	ts       []tok
	listener [2]int // tokens of the method that listens
	requests [2]int // of the method that serves requests
}

func (j *javaFile) say(what string, i int, text string) {
	j.sc.set.Mark(what, text, facts.Place{File: j.path, Line: j.ts[i].line})
}

// marks looks at one token: what code does with records.
func (j *javaFile) marks(i int) {
	ts := j.ts
	within := func(r [2]int) bool { return i > r[0] && i < r[1] }
	switch {
	case is(ts, i, "@", "KafkaListener"):
		j.listener = body(ts, i)
		for k := max(j.listener[0]-60, i); k < j.listener[0]; k++ {
			if is(ts, k, "@", "Async") {
				j.say("async-handoff", k, "@Async on a listener: records are handled in any order")
			}
		}
	case is(ts, i, "@", "PostMapping"), is(ts, i, "@", "GetMapping"), is(ts, i, "@", "PutMapping"):
		j.requests = body(ts, i)
	case is(ts, i, "@", "RetryableTopic"):
		args := ""
		if is(ts, i+2, "(") {
			for k := i + 2; k < min(closing(ts, i+2), i+100); k++ {
				args += ts[k].text
			}
		}
		if !strings.Contains(args, "attempts=1") {
			j.say("retryable-topic", i, "@RetryableTopic: records that fail are overtaken by later ones of their key")
		}
	case is(ts, i, "setAsyncAcks", "(", "true"):
		j.say("async-handoff", i, "setAsyncAcks(true): records are acknowledged out of order, as they are handled so")
	case is(ts, i, "new", "DeadLetterPublishingRecoverer"), is(ts, i, "DeadLetterPublishingRecoverer", "(") && i > 0 && ts[i-1].text != "new" && ts[i-1].text != "@":
		j.say("dead-letter", i, "records that fail go to a dead-letter topic, and later ones of their key go on")
	case is(ts, i, "KafkaShareConsumer") && (is(ts, i-1, "new")):
		j.say("share-group", i, "records of a share group come in any order")
	case within(j.listener) && (is(ts, i, "CompletableFuture", ".", "runAsync") || is(ts, i, "CompletableFuture", ".", "supplyAsync")):
		j.say("async-handoff", i, "a CompletableFuture for each record: they end in any order")
	case within(j.listener) && ts[i].kind == 'i' && strings.Contains(strings.ToLower(ts[i].text), "executor") && (is(ts, i+1, ".", "submit") || is(ts, i+1, ".", "execute")):
		j.say("async-handoff", i, "records are given to a pool: they end in any order")
	case is(ts, i, "sendOffsetsToTransaction", "("):
		if ps := parts(ts, i+1); len(ps) == 2 && onlyGroupName(ps[1]) {
			j.say("group-id-only", i, "offsets are sent with the name of the group only")
		}
	case is(ts, i, "new", "KafkaProducer") && within(j.requests), is(ts, i, "new", "KafkaProducer") && within(j.listener):
		j.say("producer-per-request", i, "a producer is made for each request")
	case is(ts, i, "new", "ProducerRecord"):
		j.record(i)
	case is(ts, i, "hashCode", "(", ")"):
		rest := ts[i+3 : min(i+6, len(ts))]
		if slices.ContainsFunc(rest, func(t tok) bool { return t.text == "%" }) {
			j.say("own-hash", i, "the partition is computed from hashCode")
		}
	case is(ts, i, "if", "("):
		j.resend(i)
	}
}

// onlyGroupName says that the second argument of sendOffsetsToTransaction has no
// generation: a name, or metadata that are made of one.
func onlyGroupName(ts []tok) bool {
	for i := range ts {
		if is(ts, i, "ConsumerGroupMetadata", "(") {
			return len(parts(ts, i+1)) == 1
		}
	}
	return !strings.Contains(strings.ToLower(flatTokens(ts)), "metadata")
}

// imports are the classes that a file names in full, by their last name.
func imports(ts []tok) map[string]string {
	full := map[string]string{}
	for i := range ts {
		if !is(ts, i, "import") || i > 0 && ts[i-1].line == ts[i].line && ts[i-1].text != ";" {
			continue
		}
		end := i + 1
		for end+1 < len(ts) && is(ts, end+1, ".") && ts[end].line == ts[i].line {
			end += 2
		}
		if end < len(ts) && ts[end].kind == 'i' {
			full[ts[end].text] = flatTokens(ts[i+1 : end+1])
		}
	}
	return full
}

// record looks at the key of a ProducerRecord: its second argument of three.
func (j *javaFile) record(i int) {
	open := i + 2
	for open < len(j.ts) && j.ts[open].text != "(" && open < i+12 {
		open++
	}
	if open >= len(j.ts) || j.ts[open].text != "(" {
		return
	}
	ps := parts(j.ts, open)
	if len(ps) < 3 {
		return
	}
	for _, key := range ps[1 : len(ps)-1] {
		text := flatTokens(key)
		if strings.Contains(text, "randomUUID") || len(ps) == 3 && (strings.Contains(text, "currentTimeMillis") || strings.Contains(text, "nanoTime")) {
			j.say("unique-key", open, "the key is another one for each record")
			return
		}
	}
}

// resend finds "if (exception != null) { ... send(" of a callback.
func (j *javaFile) resend(i int) {
	end := closing(j.ts, i+1)
	cond := j.ts[i+2 : min(end, len(j.ts))]
	if len(cond) != 4 || cond[3].text != "null" || cond[1].text != "!" || !slices.Contains([]string{"e", "ex", "exception", "err", "error", "exc", "throwable", "t"}, cond[0].text) || !is(j.ts, end+1, "{") {
		return
	}
	for k := end + 1; k < min(closing(j.ts, end+1), end+300); k++ {
		if is(j.ts, k, ".", "send", "(") && k > 0 && strings.Contains(strings.ToLower(j.ts[k-1].text), "producer") || is(j.ts, k, "kafkaTemplate", ".", "send", "(") {
			j.say("resend", k, "a record that failed is sent again, behind later ones")
			return
		}
	}
}

// body are the tokens of the method behind an annotation.
func body(ts []tok, i int) [2]int {
	k := i + 2
	for k < len(ts) && k < i+400 {
		if is(ts, k, "(") {
			k = closing(ts, k) + 1
			continue
		}
		if is(ts, k, "{") {
			return [2]int{k, closing(ts, k)}
		}
		k++
	}
	return [2]int{-1, -1}
}
