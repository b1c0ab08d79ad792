// Package deadletter is the form of a dead letter: which headers say where a
// record came from and why it was given up, in two profiles, and how they are
// kept within bounds. It knows nothing of Kafka; docs/dead-letters.md is its
// description for people.
package deadletter
