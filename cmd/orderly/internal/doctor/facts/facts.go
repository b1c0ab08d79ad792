// Package facts is what is known of a system that uses Kafka: producers, consumers,
// brokers and topics with their settings, what code does, and where each of it was
// seen. Several sources fill it (files, a cluster, a log); the rules read nothing
// else. It imports no Kafka package.
package facts

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Kind is what a unit is.
type Kind string

// The kinds of units.
const (
	Producer  Kind = "producer"
	Consumer  Kind = "consumer"
	Streams   Kind = "streams"
	Worker    Kind = "connect worker"
	Connector Kind = "connector"
	Broker    Kind = "broker"
	Topic     Kind = "topic"
	Group     Kind = "group"
	Either    Kind = "client" // a producer, or a consumer, or both in one
)

// A Client is a client library.
type Client string

// The client libraries that are told apart.
const (
	Unknown     Client = ""
	Java        Client = "java"
	Librdkafka  Client = "librdkafka"
	Sarama      Client = "sarama"
	FranzGo     Client = "franz-go"
	KafkaGo     Client = "kafka-go"
	KafkaJS     Client = "kafkajs"
	AIOKafka    Client = "aiokafka"
	KafkaPython Client = "kafka-python"
)

// Clients are all of them.
func Clients() []Client {
	return []Client{Java, Librdkafka, Sarama, FranzGo, KafkaGo, KafkaJS, AIOKafka, KafkaPython}
}

// A Source is where facts come from.
type Source string

// The sources of facts.
const (
	Config  Source = "config"  // client and broker settings in files
	Version Source = "version" // the version of a client, or of brokers
	Code    Source = "code"    // what source code does
	Cluster Source = "cluster" // what a cluster answers
	Log     Source = "log"     // what is written in topics
	Ask     Source = "ask"     // only people know
)

// A Place is a line of a file, or something else that has a name.
type Place struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Name string `json:"name,omitempty"` // where there is no file: "topic orders"
}

func (p Place) String() string {
	switch {
	case p.File == "":
		return p.Name
	case p.Line == 0:
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// A Value is a setting as it was found.
type Value struct {
	Text      string // the value, or the default of a variable that gives it
	Written   string // the setting's name as it is written there
	Env       string // the variable that may give another value
	Elsewhere bool   // decided elsewhere: a variable without a default, a function, another file
	Place
}

// A Unit is one producer, consumer, broker, topic ... and its settings, under the
// Java client's names.
type Unit struct {
	Kind      Kind
	Client    Client
	Framework string // "spring", "spring-cloud-stream", "connect", "quarkus"; what sets defaults of its own
	Versions  []Ver  // that it may have; empty when unknown
	VersionOf string // where the version was read
	Name      string // what it is called, with its place
	Place
	Set      map[string]Value
	Defaults map[string]string // of a framework, over those of the client
	Partial  bool              // the rest of its settings is somewhere else
}

// NewUnit returns a unit without settings.
func NewUnit(kind Kind, client Client, at Place) *Unit {
	return &Unit{Kind: kind, Client: client, Place: at, Set: map[string]Value{}, Defaults: map[string]string{}}
}

// A Mark is something that code or a file does, which no setting says.
type Mark struct {
	What   string // a name that rules look for
	Detail string
	Place
}

// A Skip is something that could not be read, and why.
type Skip struct {
	Place
	Why string
}

// A Hidden is a client that is made with settings that were not seen: they come from
// another file, another function or an argument.
type Hidden struct {
	Kind   Kind
	Client Client
	Given  string // what it is made with, as it is written
	Place
}

// Answers are what only people know.
type Answers struct {
	RecordTime time.Duration // the longest that handling a record takes
}

// A Set is everything that is known.
type Set struct {
	Units   []*Unit
	Marks   []Mark
	Skipped []Skip
	Strange []Strange // settings that nobody reads
	Hidden  []Hidden  // clients whose settings were not seen
	Files   int       // that were read and had something of Kafka
	Looked  int       // that were read
	Asked   Answers
	Has     map[Source]bool
}

// A Strange is a setting whose name nothing knows.
type Strange struct {
	Name string
	Near string // a name that is known and much like it
	Why  string // what becomes of it, where that is known
	Rule string // the rule that it belongs to
	Unit *Unit
	Place
}

// Mark notes what code does.
func (s *Set) Mark(what, detail string, at Place) {
	if len(s.Marks) < 10_000 {
		s.Marks = append(s.Marks, Mark{what, detail, at})
	}
}

// Ver is a version of three numbers.
type Ver [3]int

// ParseVer reads a version: "v1.2.3", "3.1", "^2.2.4", "2.6.3.RELEASE".
func ParseVer(text string) (v Ver, ok bool) {
	text = strings.TrimLeft(strings.TrimSpace(text), "v^~=> <")
	for i, part := range strings.SplitN(text, ".", 4) {
		if i == 3 {
			break
		}
		end := 0
		for end < len(part) && end < 6 && part[end] >= '0' && part[end] <= '9' {
			end++
		}
		if end == 0 {
			return v, i > 0
		}
		v[i], _ = strconv.Atoi(part[:end])
		if end < len(part) {
			return v, true
		}
	}
	return v, true
}

func (v Ver) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Before says that v is older than the version in text.
func (v Ver) Before(text string) bool {
	w, _ := ParseVer(text)
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// Is says that v is the version in text.
func (v Ver) Is(text string) bool { w, _ := ParseVer(text); return v == w }
