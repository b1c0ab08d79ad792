// Package pipe runs worker programs: each gets records as JSON lines on its
// standard input, one at a time, and answers each with a JSON line on its
// standard output. docs/pipe-protocol.md is the protocol.
//
// A record is with one worker only, and a worker has one record only: a handler
// call borrows a worker and gives it back when the worker has answered, or is
// dead. That is why a call never returns before that: what returned is taken to
// be over, and the key's next record may start.
package pipe
