package explain

import (
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

const name = `[\w.-]{1,249}`

// subjects are where a line of any client names its subject, each with a literal in
// lower case without which it cannot be there: expressions are slow. They are tried
// on lines that are already known to be of Kafka.
var subjects = []struct {
	need string
	re   *regexp.Regexp
}{
	{"clientid=", regexp.MustCompile(`\[(?:Producer|Consumer)(?: instanceId=(?P<group_instance_id>[^,\]]+),)? clientId=(?P<client_id>[^,\]]*)(?:, (?:groupId=(?P<group>[^,\]]+)|transactionalId=(?P<transactional_id>[^,\]]+)))?`)},
	{"pid{id:", regexp.MustCompile(`PID\{Id:(?P<producer_id>\d+),Epoch:(?P<producer_epoch>-?\d+)\}`)},
	{"|rdkafka#", regexp.MustCompile(`\|rdkafka#(?P<client_id>[\w-]+)\|`)},
	{"producer", regexp.MustCompile(`(?i)\bproducer[_ ]?id["']?\s*[:=]?\s*"?(?P<producer_id>\d+)`)},
	{"epoch", regexp.MustCompile(`(?i)\bproducer[_ ]epoch["']?\s*[:=]?\s*"?(?P<producer_epoch>\d+)`)},
	{"partition ", regexp.MustCompile(`\b(?:for|on|of|in) (?:topic-partition|partition|topic partition) (?P<topic>` + name + `)-(?P<partition>\d+)\b`)},
	{" [", regexp.MustCompile(`\b(?:for|on|to) (?P<topic>` + name + `) \[(?P<partition>\d+)\]`)},
	{" on ", regexp.MustCompile(`\bon (?P<topic>` + name + `)/(?P<partition>\d+)\b`)},
	{"topic", regexp.MustCompile(`(?i)["']?\btopic["']?\s*(?:[:=]\s*|\s)["']?(?P<topic>` + name + `)["']?[,;)\s]+["']?partition["']?\s*(?:[:=]\s*|\s)["']?(?P<partition>\d+)`)},
	{"[partition ", regexp.MustCompile(`\[Partition (?P<topic>` + name + `)-(?P<partition>\d+) broker=(?P<broker>\d+)\]`)},
	{"group", regexp.MustCompile(`(?i)["']?\bgroup(?:Id|_id)?["']?\s*[:=]\s*["']?(?P<group>` + name + `)`)},
	{"[groupid ", regexp.MustCompile(`\[GroupId (?P<group>[^\]]+)\](?: Member (?P<member>\S+))?`)},
	{"consumergroup/", regexp.MustCompile(`\bconsumergroup/(?P<group>` + name + `): `)},
	{"transactionalid", regexp.MustCompile(`(?i)\btransactionalId[= ']+(?P<transactional_id>[^,'\]\s]+)`)},
	{"instance", regexp.MustCompile(`(?i)group[._ ]?instance[._ ]?id["']?\s*[:=]\s*["']?(?P<group_instance_id>` + name + `)`)},
	{"instance", regexp.MustCompile(`(?i)group[. ]instance[. ]id (?P<group_instance_id>` + name + `) (?:has been fenced|error|fenced)`)},
	{"[replicamanager", regexp.MustCompile(`\[ReplicaManager broker=(?P<broker>\d+)\]`)},
	{"attempts left", regexp.MustCompile(`retrying \((?P<attempts_left>\d+) attempts left\)`)},
}

// enrichRead is how much of a line is searched for its subject.
const enrichRead = 4096

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
	lower := strings.ToLower(text)
	for _, s := range subjects {
		if strings.Contains(lower, s.need) {
			f.take(s.re, text)
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
