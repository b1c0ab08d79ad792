// Package orderly processes the records of Apache Kafka in guaranteed order per
// key: through retries, crashes, rebalances and outages.
//
// A [Consumer] hands each record to a [Handler]. Records of one ordering key
// (by default the record's key, within its partition) are handled strictly one
// after the other; different keys run side by side, up to
// [ConsumerConfig.Concurrency] at a time. A record that fails is tried again in
// place and makes only its own key wait. Progress is committed so that a crash
// repeats no more than what was running or done since the last commit, also
// when later records were done before earlier ones.
//
// A [Producer] writes records so that those of a key are in the log in the order in
// which they were given. When one of them is not written, or may not be, its key is
// closed: later ones are refused with a [KeyClosedError] until the caller has
// decided what becomes of it and calls [Producer.Clear].
//
// What is promised, and what is not, stands in docs/guarantees.md, each promise
// with the test that shows it.
//
// # Concurrency
//
// A Consumer's methods may be called from several goroutines; Run is called
// once. Handlers are called from up to Concurrency goroutines at the same time,
// never two of them for the same key. Functions of [Events] are called from
// different goroutines and must not block.
package orderly
