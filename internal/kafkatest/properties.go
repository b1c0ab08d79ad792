package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Small enough for three nodes and the tests on one small machine; the first
// compiler alone halves what a start costs. Benchmarks want other ones.
var defaultJVM = []string{
	"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
	"-Dorg.slf4j.simpleLogger.showDateTime=true",
	"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
}

// defaults are the properties that make a broker fit for tests; what is not here
// is as Kafka has it.
func defaults(nodes int) map[string]string {
	replicas := strconv.Itoa(min(nodes, 3))
	return map[string]string{
		"process.roles":             "broker,controller",
		"controller.listener.names": "CONTROLLER",

		// A topic that a test forgot to create must not appear by itself.
		"auto.create.topics.enable": "false",

		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "6", // 50 take seconds to create
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    strconv.Itoa((min(nodes, 3) + 1) / 2),
		"transaction.state.log.num.partitions":             "6",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            strconv.Itoa((min(nodes, 3) + 1) / 2),

		// Members that die have to be missed within a test's patience.
		"group.initial.rebalance.delay.ms":         "0",
		"group.min.session.timeout.ms":             "1000",
		"group.consumer.min.session.timeout.ms":    "1000",
		"group.consumer.min.heartbeat.interval.ms": "200",

		// A node that was killed may come back only when its old session is over.
		"broker.session.timeout.ms":    "6000",
		"broker.heartbeat.interval.ms": "1000",

		// Kafka has threads and buffers for a large server.
		"num.network.threads":               "2",
		"num.io.threads":                    "4",
		"log.cleaner.dedupe.buffer.size":    "4194304",
		"group.coordinator.threads":         "1",
		"share.coordinator.threads":         "1",
		"num.recovery.threads.per.data.dir": "1",
	}
}

// properties are the lines of a node's file. What the options say wins.
func (c *Cluster) properties(n *node) []byte {
	p := defaults(len(c.nodes))
	p["node.id"] = strconv.Itoa(n.id)
	p["log.dirs"] = n.data()
	p["inter.broker.listener.name"] = "PLAINTEXT"

	var voters []string
	for _, other := range c.nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", other.id, other.controller))
	}
	p["controller.quorum.voters"] = strings.Join(voters, ",")

	listeners := []string{"PLAINTEXT://" + n.addr, "CONTROLLER://" + n.controller}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	for _, name := range slices.Sorted(maps.Keys(c.opts.Listeners)) {
		listeners = append(listeners, name+"://"+n.extra[name])
		protocols = append(protocols, name+":"+c.opts.Listeners[name])
	}
	p["listeners"] = strings.Join(listeners, ",")
	p["listener.security.protocol.map"] = strings.Join(protocols, ",")

	maps.Copy(p, c.opts.Properties)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "%s=%s\n", name, strings.ReplaceAll(p[name], `\`, `\\`))
	}
	return []byte(b.String())
}
