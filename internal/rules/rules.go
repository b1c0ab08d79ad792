// Package rules are the few checks on the topics that a program is about to use: what
// of their settings loses acknowledged records, and with them the order. The
// consumer and the producer run them at their start, `orderly doctor` on everything.
// The ids are doctor's.
package rules

import (
	"fmt"
	"strconv"
)

// A Topic is what is known of a topic. Zero values are not known.
type Topic struct {
	Replicas  int // of the partition that has the fewest
	MinInsync int // min.insync.replicas
	Unclean   bool
}

// TopicConfigs are the settings that a topic is asked for.
var TopicConfigs = []string{"min.insync.replicas", "unclean.leader.election.enable"}

// Set takes a setting as a broker gives it.
func (t *Topic) Set(name, value string) {
	switch name {
	case "min.insync.replicas":
		t.MinInsync, _ = strconv.Atoi(value)
	case "unclean.leader.election.enable":
		t.Unclean = value == "true"
	}
}

// A Problem is something that can lose records.
type Problem struct {
	ID   string // of the rule: `orderly doctor rules ID` explains it
	What string
	Fix  string
}

// Problems are what is wrong with the topic.
func (t Topic) Problems() (ps []Problem) {
	add := func(id, fix, what string, args ...any) {
		ps = append(ps, Problem{ID: id, What: fmt.Sprintf(what, args...), Fix: fix})
	}
	switch t.Replicas {
	case 1:
		add("B01", "use 3 replicas", "there is one replica: with its broker all records are gone, acknowledged or not")
	case 2:
		add("B01", "use 3 replicas", "there are two replicas: while one is away, the other is the only copy")
	}
	if t.Replicas > 1 && t.MinInsync == 1 {
		add("B02", "set min.insync.replicas=2", "min.insync.replicas is 1: acks=all can mean one copy")
	}
	if t.Replicas > 1 && t.MinInsync >= t.Replicas {
		add("B03", fmt.Sprintf("set min.insync.replicas=%d", t.Replicas-1), "min.insync.replicas is %d with %d replicas: one broker away stops all writing", t.MinInsync, t.Replicas)
	}
	if t.Unclean {
		add("B05", "set unclean.leader.election.enable=false", "unclean leader election is on: a replica that is behind may lead, and what it lacks is lost; other records get its offsets")
	}
	return ps
}
