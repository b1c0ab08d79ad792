package explain

import (
	"regexp"
	"slices"
	"strings"
)

// A pattern is how an entry looks in a log.
type pattern struct {
	entry  string
	client Client // whose words these are, when they are only one's
	stem   string // a literal without which it is not there
	re     *regexp.Regexp
	loose  bool // others say this too: only beside a word of Kafka's
}

// p is a pattern whose stem is enough; its facts come from what any line says.
func p(entry string, client Client, stem string) pattern {
	return pattern{entry: entry, client: client, stem: stem}
}

// px is a pattern that is only there when the expression matches, too. Its named
// groups are fields of Facts.
func px(entry string, client Client, stem, re string) pattern {
	return pattern{entry: entry, client: client, stem: stem, re: regexp.MustCompile(re)}
}

var patterns = slices.Concat(brokerPatterns, javaPatterns, librdkafkaPatterns, goPatterns, orderlyPatterns, messagePatterns)

// A hit is an entry that a line shows.
type hit struct {
	entry  *Entry
	client Client
	facts  Facts
	text   string // the line, out of its wrapping
}

// A literal of the automaton: a pattern's stem, or an entry's name.
type literal struct {
	pattern *pattern
	entry   *Entry
	name    string
	loose   bool
}

type matcher struct {
	stems    *stems
	literals []literal
}

var theMatcher = newMatcher()

func newMatcher() *matcher {
	m := &matcher{}
	var texts []string
	add := func(text string, l literal) {
		texts, m.literals = append(texts, text), append(m.literals, l)
	}
	for i := range patterns {
		pat := &patterns[i]
		add(pat.stem, literal{pattern: pat, entry: byID[pat.entry], loose: pat.loose})
	}
	for _, e := range entries {
		for _, n := range e.Names {
			add(n, literal{entry: e, name: n})
		}
		for _, n := range e.Loose {
			add(n, literal{entry: e, name: n, loose: true})
		}
	}
	m.stems = newStems(texts)
	return m
}

var kafkaWords = regexp.MustCompile(`(?i)kafka|sarama|\bkgo\b|franz|clientId=|topic-partition|correlation id|\bbroker[:=] ?\d`)

// match finds what a line shows. around is the whole line of the log, when text is
// only a part of it.
func (m *matcher) match(text, around string) []hit {
	var hits []hit
	m.stems.each(text, func(i, end int) bool {
		l := m.literals[i]
		if l.name != "" && !isWord(text, l.name, end) || l.loose && !kafkaWords.MatchString(around) {
			return true
		}
		h := hit{entry: l.entry, text: text}
		if l.pattern != nil {
			h.client = l.pattern.client
			if l.pattern.re != nil && !h.facts.take(l.pattern.re, text) {
				return true
			}
		}
		for j := range hits {
			if hits[j].entry == h.entry {
				hits[j].facts.fill(h.facts)
				if hits[j].client == Unknown {
					hits[j].client = h.client
				}
				return true
			}
		}
		hits = append(hits, h)
		return len(hits) < maxHits
	})
	for i := range hits {
		hits[i].facts.enrich(text)
		if around != text {
			hits[i].facts.enrich(around)
		}
		if hits[i].client == Unknown {
			hits[i].client = guess(around)
		}
	}
	return hits
}

// maxHits of one event: a line that lists all errors is not all incidents.
const maxHits = 8

// isWord says whether a name stands alone in text, ending at end, with its own case.
func isWord(text, name string, end int) bool {
	at := end - len(name)
	if text[at:end] != name || end < len(text) && wordByte(text[end]) {
		return false
	}
	return at == 0 || !wordByte(text[at-1]) || strings.HasSuffix(text[:at], "ERR_")
}

func wordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// signs tell whose log a line is from: any of the literals, the first client first.
var signs = []struct {
	client Client
	any    []string
}{
	{Orderly, []string{"orderly: "}},
	{Librdkafka, []string{"rdkafka#", "KafkaError{code=", "RD_KAFKA_", "confluent_kafka", "Confluent.Kafka", "Broker: ", "Local: "}},
	{Broker, []string{"[ReplicaManager", "[GroupCoordinator", "[Partition ", "[UnifiedLog", "[TransactionCoordinator", "[KafkaApi-", "[GroupMetadataManager", "[ReplicaFetcher",
		"(kafka.", "(org.apache.kafka.coordinator", "(org.apache.kafka.storage", "(org.apache.kafka.server", "(org.apache.kafka.controller", "[GroupId "}},
	{Java, []string{"org.apache.kafka", "[Producer clientId=", "[Consumer clientId=", "[Consumer instanceId=", "o.a.k.c", "springframework"}},
	{Sarama, []string{"kafka server: ", "kafka: ", "[sarama]", "producer/broker/", "producer/leader/", "producer/txnm", "consumergroup/", "sarama."}},
	{FranzGo, []string{"kgo.", "[kgo]", "franz", "producer_epoch:", "producer_epoch=", "kerr."}},
}

// guess says whose line it is by its looks.
func guess(line string) Client {
	if len(line) > enrichRead {
		line = line[:enrichRead]
	}
	for _, s := range signs {
		for _, sign := range s.any {
			if strings.Contains(line, sign) {
				return s.client
			}
		}
	}
	return Unknown
}
