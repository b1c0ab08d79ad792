// Package explain reads errors, error codes and log lines of Kafka clients and
// brokers, and says what they mean for the order of records: what happened,
// whether the data is still right, how to tell, and what to do.
//
// What is known is data: the entries of the know_*.go files (what a thing means)
// and the patterns of patterns_*.go (how it looks in a log). The rest reads. The
// way of a line: line.go cuts it off its file, stems.go finds whether it holds
// anything known, wrap.go takes it out of JSON, match.go decides what it is and
// facts.go reads its numbers, scan.go counts it, timeline.go says what led to
// what, text.go and the JSON form of Report show it.
//
// The package knows no Kafka client and connects to nothing.
package explain
