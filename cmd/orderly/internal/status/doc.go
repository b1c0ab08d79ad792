// Package status shows how far a group is: from Kafka, where its offsets and our
// commit metadata are, and from members that serve their state.
package status
