package explain

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// Facts are what a line says about its incident. Numbers are as the line has them.
type Facts struct {
	Producer        string `json:"producer_id,omitempty"`
	Epoch           string `json:"producer_epoch,omitempty"`
	OldEpoch        string `json:"last_seen_epoch,omitempty"`
	Topic           string `json:"topic,omitempty"`
	Partition       string `json:"partition,omitempty"`
	Offset          string `json:"offset,omitempty"`
	To              string `json:"to_offset,omitempty"`
	Incoming        string `json:"incoming_sequence,omitempty"`
	Last            string `json:"last_sequence,omitempty"`
	Group           string `json:"group,omitempty"`
	Member          string `json:"member,omitempty"`
	Instance        string `json:"group_instance_id,omitempty"`
	TransactionalID string `json:"transactional_id,omitempty"`
	ClientID        string `json:"client_id,omitempty"`
	Broker          string `json:"broker,omitempty"`
	Records         string `json:"records,omitempty"`
	Millis          string `json:"ms,omitempty"`
	Error           string `json:"error,omitempty"`
	Retried         string `json:"attempts_left,omitempty"`
	ISR             string `json:"isr,omitempty"`
	Through         string `json:"through,omitempty"` // a framework that wraps the client
}

// name is a topic, a group or an id. It has no upper limit here, which would make the
// expressions slow: clip has one.
const name = `[\w.-]+`

// A subject is where a line of any client names whom it is about.
type subject struct {
	need string // a literal in lower case without which it cannot be there
	back int    // how far before the literal it may begin
	re   *regexp.Regexp
}

// at is a subject. The expression is tried at the literal only: over whole lines it
// would be slow.
func at(need string, back int, re string) subject {
	return subject{need, back, regexp.MustCompile(fmt.Sprintf(`(?s)^.{0,%d}?(?:%s)`, back, re))}
}

// subjects are tried on lines that are already known to be of Kafka.
var subjects = []subject{
	at("[producer clientid=", 0, `\[Producer clientId=(?P<client_id>[^,\]]*)(?:, transactionalId=(?P<transactional_id>[^,\]]+))?`),
	at("[consumer clientid=", 0, `\[Consumer clientId=(?P<client_id>[^,\]]*)(?:, groupId=(?P<group>[^,\]]+))?`),
	at("[consumer instanceid=", 0, `\[Consumer instanceId=(?P<group_instance_id>[^,\]]+), clientId=(?P<client_id>[^,\]]*)(?:, groupId=(?P<group>[^,\]]+))?`),
	at("pid{id:", 0, `PID\{Id:(?P<producer_id>\d+),Epoch:(?P<producer_epoch>-?\d+)\}`),
	at("|rdkafka#", 0, `\|rdkafka#(?P<client_id>[\w-]+)\|`),
	at("producer", 1, `(?i)\bproducer[_ ]?id["']?\s*[:=]?\s*"?(?P<producer_id>\d+)`),
	at("producer", 1, `(?i)\bproducer[_ ]epoch["']?\s*[:=]?\s*"?(?P<producer_epoch>\d+)`),
	at("partition ", 10, `\b(?:for|on|of|in) (?:topic-)?partition (?P<topic>`+name+`)-(?P<partition>\d+)\b`),
	at("partition ", 20, `\b(?:for|on|of|in) topic[ -]partition (?P<topic>`+name+`)-(?P<partition>\d+)\b`),
	at(" for ", 0, ` for (?P<topic>`+name+`) \[(?P<partition>\d+)\]`),
	at(" on ", 0, ` on (?P<topic>`+name+`) \[(?P<partition>\d+)\]`),
	at(" to ", 0, ` to (?P<topic>`+name+`) \[(?P<partition>\d+)\]`),
	at(" on ", 0, ` on (?P<topic>`+name+`)/(?P<partition>\d+)\b`),
	at("topic-partition ", 0, `(?i)topic-partition (?P<topic>`+name+`)-(?P<partition>\d+)\b`),
	at("topic", 1, `(?i)\btopic["']?\s*(?:[:=]\s*|\s)["']?(?P<topic>`+name+`)["']?[,;)\s]+["']?partition["']?\s*(?:[:=]\s*|\s)["']?(?P<partition>\d+)`),
	at("[partition ", 0, `\[Partition (?P<topic>`+name+`)-(?P<partition>\d+) broker=(?P<broker>\d+)\]`),
	at("group", 1, `(?i)\bgroup(?:Id|_id)?["']?\s*[:=]\s*["']?(?P<group>`+name+`)`),
	at("[groupid ", 0, `\[GroupId (?P<group>[^\]]+)\](?: Member (?P<member>\S+))?`),
	at("consumergroup/", 1, `\bconsumergroup/(?P<group>`+name+`): `),
	at("transactionalid", 1, `(?i)\btransactionalId[= ']+(?P<transactional_id>[^,'\]\s]+)`),
	at("group", 0, `(?i)group[._ ]?instance[._ ]?id["']?\s*[:=]\s*["']?(?P<group_instance_id>`+name+`)`),
	at("group", 0, `(?i)group[. ]instance[. ]id (?P<group_instance_id>`+name+`) (?:has been fenced|error|fenced)`),
	at("[replicamanager", 0, `\[ReplicaManager broker=(?P<broker>\d+)\]`),
	at("retrying (", 0, `retrying \((?P<attempts_left>\d+) attempts left\)`),
}

const (
	enrichRead = 4096 // bytes of a line that are searched for its subject
	mostPlaces = 8    // at which it is looked for, for each expression
	placeTail  = 700  // bytes at a literal: names are long
)

// lowered is text with ASCII letters in lower case, byte for byte.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		b[i] = fold(c)
	}
	return string(b)
}

// fieldOf is where a named group of a pattern goes.
var fieldOf = fieldsByName()

func fieldsByName() map[string]int {
	m := map[string]int{}
	t := reflect.TypeFor[Facts]()
	for i := range t.NumField() {
		m[strings.TrimSuffix(t.Field(i).Tag.Get("json"), ",omitempty")] = i
	}
	return m
}

// take reads the named groups of a match; what is known already stays.
func (f *Facts) take(re *regexp.Regexp, text string) bool {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	v := reflect.ValueOf(f).Elem()
	for i, group := range re.SubexpNames() {
		if at, ok := fieldOf[group]; ok && group != "" && m[i] != "" && v.Field(at).String() == "" {
			v.Field(at).SetString(clip(m[i]))
		}
	}
	return true
}

// clip bounds a value that a log gave, and keeps it from doing harm to a terminal.
func clip(s string) string {
	const most = 249 // a topic's name has no more
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// enrich reads what any client's line says about its subject.
func (f *Facts) enrich(text string) {
	if len(text) > enrichRead {
		text = text[:enrichRead]
	}
	lower := lowered(text)
	for _, s := range subjects {
		for from, n := 0, 0; n < mostPlaces; n++ {
			i := strings.Index(lower[from:], s.need)
			if i < 0 {
				break
			}
			if place := from + i; f.take(s.re, text[max(0, place-s.back):min(len(text), place+placeTail)]) {
				break
			}
			from += i + len(s.need)
		}
	}
	if f.Through == "" {
		for _, w := range wrappers {
			if strings.Contains(text, w.sign) {
				f.Through = w.name
				break
			}
		}
	}
}

// fill takes from other what f does not know.
func (f *Facts) fill(other Facts) {
	to, from := reflect.ValueOf(f).Elem(), reflect.ValueOf(other)
	for i := range to.NumField() {
		if to.Field(i).String() == "" {
			to.Field(i).SetString(from.Field(i).String())
		}
	}
}

// wrappers are frameworks around a client, by a sign of theirs.
var wrappers = []struct{ sign, name string }{
	{"org.springframework.kafka", "Spring for Apache Kafka"},
	{"org.springframework.cloud.stream", "Spring Cloud Stream"},
	{"org.apache.kafka.connect", "Kafka Connect"},
	{"WorkerSourceTask{", "Kafka Connect"},
	{"WorkerSinkTask{", "Kafka Connect"},
	{"org.apache.kafka.streams", "Kafka Streams"},
	{"io.smallrye.reactive", "Quarkus (SmallRye)"},
	{"io.debezium", "Debezium"},
}

// TopicPartition is the partition as Kafka's own logs write it, or empty.
func (f Facts) TopicPartition() string {
	if f.Topic == "" {
		return ""
	}
	if f.Partition == "" {
		return f.Topic
	}
	return f.Topic + "-" + f.Partition
}

// Subject names whom the incident is about, in a few words; empty when the line
// does not say.
func (f Facts) Subject() string {
	var parts []string
	for _, p := range []struct{ what, of string }{
		{"", f.TopicPartition()},
		{"producer ", f.Producer},
		{"transactional id ", f.TransactionalID},
		{"group ", f.Group},
		{"instance ", f.Instance},
		{"member ", f.Member},
	} {
		if p.of != "" {
			parts = append(parts, p.what+p.of)
		}
	}
	if len(parts) == 0 && f.ClientID != "" {
		parts = append(parts, "client "+f.ClientID)
	}
	return strings.Join(parts, ", ")
}
