// Package breaker decides when a consumer stops trying because a dependency of
// its handlers is down, and when it goes on. It knows neither Kafka nor handlers:
// it is told the outcome of attempts and of probes, and answers with what is to be
// done. It starts no goroutine and reads no clock; times are durations since an
// epoch of the caller's monotonic clock.
//
// Closed: all runs. It opens (a) when Unavailable was said repeatedly, by two keys or
// more, or by one while the probe fails too; (b) when keys that were healthy fail
// together: within the window at least five, and at least half of all keys that were
// tried; one after the other with no success in between, or each of them again.
//
// Open: nothing runs. From time to time a probe is asked, or, without one, the head
// of one key is tried: keys that had not failed first, then the others in turn.
//
// Probing: after several successes in a row one key is let through, then two, four,
// and so on; then it closes. Unavailable, or failures of keys that were healthy and
// were tried twice, open it again for longer. What could not open it does not hold it:
// few keys that fail always, and nothing else to try, or one that says Unavailable.
//
// Keys that fail and were failing before say nothing about a dependency: they neither
// open nor hold it open.
//
// Memory is bounded. The keys that were tried are counted with sketches of a fixed
// size; keys that fail are remembered one by one up to a cap, beyond which an even
// sample of them stands for all.
package breaker
