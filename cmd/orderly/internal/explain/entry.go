package explain

import (
	"fmt"
	"slices"
)

// A Severity says what something does to the order of records.
type Severity string

// The severities, in the words of `orderly doctor`.
const (
	Breaks Severity = "error" // order is broken, or records are lost or repeated
	May    Severity = "warn"  // it may be, as the lines around it show
	Note   Severity = "note"  // it is not
)

func (s Severity) rank() int {
	return slices.Index([]Severity{Breaks, May, Note}, s)
}

// A Client is whose words a line is in.
type Client string

// The clients that are told apart. Programs on librdkafka are those of Python
// (confluent-kafka), .NET, Go (confluent-kafka-go), Node (node-rdkafka) and others.
const (
	Unknown    Client = ""
	Java       Client = "java"
	Librdkafka Client = "librdkafka"
	Sarama     Client = "sarama"
	FranzGo    Client = "franz-go"
	Broker     Client = "broker"
	Orderly    Client = "orderly"
)

// Clients are those that can be named.
var Clients = []Client{Java, Librdkafka, Sarama, FranzGo, Broker}

// ParseClient takes a client's name.
func ParseClient(name string) (Client, error) {
	if name == "" || slices.Contains(Clients, Client(name)) {
		return Client(name), nil
	}
	return "", fmt.Errorf("client %q is not known: java, librdkafka, sarama, franz-go or broker", name)
}

// An Entry is what is known about one error or one kind of log line.
type Entry struct {
	ID       string // never changes its meaning
	Title    string
	Code     int      // of the Kafka protocol; 0 when it has none
	Names    []string // it is known by, in any log: matched as whole words, as written
	Loose    []string // names that others use too: matched only beside a word of Kafka's
	Severity Severity
	What     string // happened
	Data     string // is the data still right
	Tell     string // how to tell
	Do       []string
	Clients  map[Client]string // what this client does with it, or what to set there
	Versions string
	Sources  []string
	Rules    []string // ids of the rules of `orderly doctor`
	See      []string // commands of ours that show more
	Causes   []Cause
	YieldsTo []string // entries that say more, when both are in one event
}

// A Cause is one of several possible causes of an entry.
type Cause struct {
	Title     string `json:"title"`
	Diagnosis string `json:"diagnosis"`
	Fix       string `json:"fix"`
	Why       string `json:"why"`
	Outdated  string `json:"outdated"` // since when, and what holds now
}

// Entries are all that is known, by subject.
func Entries() []*Entry { return entries }

var entries = slices.Concat(sequenceEntries, producerEntries, transactionEntries, groupEntries, offsetEntries, brokerEntries, orderlyEntries)

var byID = index()

func index() map[string]*Entry {
	m := make(map[string]*Entry, len(entries))
	for _, e := range entries {
		m[e.ID] = e
	}
	return m
}
