// Package produce is the part of the producer that knows no Kafka: which record
// of a partition may be handed to the client, which keys are closed, in which
// order callers are told, which number a record of a key gets, and how much may
// wait.
//
// The rule it keeps: at most one run of a partition's records is with the client.
// What becomes of each of them is known before the next run is taken, so that no
// record can be written behind a failed one of its key.
//
// Nothing here is safe for concurrent use but [Budget]: the producer holds one
// lock per partition.
package produce
