// Package takeover holds the tests of moving a group from another client to this
// library and back, as docs/moving.md describes it. The other client is the Java
// consumer of Kafka's own jars, with its default, eager balancer.
package takeover
