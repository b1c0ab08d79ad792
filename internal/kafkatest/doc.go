// Package kafkatest starts real Apache Kafka for tests, from its jars and a JDK:
// no container, no installation, nothing that outlives the test.
//
// There are two ways to use it:
//
//   - [Shared]: the brokers that a whole run shares. "make test" starts one node,
//     runs the tests of behaviour a second time, and names it to them in
//     ORDERLY_KAFKA; whoever has a cluster names that instead. Topics and groups
//     are then everybody's: take their names from [Name], and break nothing.
//   - [Start]: a cluster of the test's own, of one node or three, to be killed,
//     paused and restarted. Ask [Require] first.
//
// What one process cannot show needs three: ISRs, min.insync.replicas, leaders
// that move. A node takes 250 MB and some seconds of CPU, so close it early.
package kafkatest

// Latest is the version of Kafka that the tests use unless they name another.
const Latest = "4.3.1"
