// Package wire reads what writers really wrote: the headers of record batches,
// which say who wrote them and in which sequence, and the partitions that keys went
// to, which say how the writer's client chooses them. Configurations say what
// somebody meant; this is what is so.
package wire
