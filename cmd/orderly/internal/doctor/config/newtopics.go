package config

import (
	"regexp"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// Topics that scripts and code make, with their number of replicas.

var (
	topicTool     = regexp.MustCompile(`\bkafka-topics(?:\.sh)?\b.*\s--create\b`)
	topicReplicas = regexp.MustCompile(`\s--replication-factor[ =]["']?([0-9]+)`)
	topicName     = regexp.MustCompile(`\s--topic[ =]["']?([A-Za-z0-9._-]+)`)
)

// madeTopic is a topic with a number of replicas that is written down.
func (sc *scanner) madeTopic(path string, line int, name, replicas, raw string) {
	s := source{file: path, line: line, kind: facts.Topic, surely: true, partial: true}
	if name != "" {
		s.name = "topic " + safeName(name)
	}
	sc.whole(s, []entry{{path: "replication.factor", text: replicas, line: line, raw: raw}})
}

// topicCommand reads kafka-topics --create of a script.
func (sc *scanner) topicCommand(path string, l command) {
	text := strings.ReplaceAll(l.text, "\x00", " ")
	if !topicTool.MatchString(text) {
		return
	}
	if m := topicReplicas.FindStringSubmatch(text); m != nil {
		name := ""
		if n := topicName.FindStringSubmatch(text); n != nil {
			name = n[1]
		}
		sc.madeTopic(path, l.line, name, m[1], "--replication-factor")
	}
}

// codeTopic reads what makes a topic in Java, Kotlin and Python: NewTopic with its
// number of replicas, and Spring's TopicBuilder.
func (sc *scanner) codeTopic(path string, ts []tok, i int) {
	switch {
	case is(ts, i, "NewTopic", "("):
		for k, p := range parts(ts, i+1) {
			switch {
			case len(p) == 3 && p[0].text == "replication_factor" && p[1].text == "=":
				sc.oneCopy(path, p[2], "replication_factor")
			case k == 2 && len(p) == 1, k == 2 && len(p) == 4 && p[1].text == "short":
				sc.oneCopy(path, p[len(p)-1], "NewTopic")
			}
		}
	case is(ts, i, "TopicBuilder", ".", "name", "("):
		for k := closing(ts, i+3) + 1; is(ts, k, ".") && k+2 < len(ts) && is(ts, k+2, "("); k = closing(ts, k+2) + 1 {
			if ps := parts(ts, k+2); ts[k+1].text == "replicas" && len(ps) == 1 && len(ps[0]) == 1 {
				sc.oneCopy(path, ps[0][0], "replicas")
			}
		}
	}
}

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

func (sc *scanner) oneCopy(path string, t tok, raw string) {
	if wholeNumber.MatchString(t.text) {
		sc.madeTopic(path, t.line, "", t.text, raw)
	}
}
