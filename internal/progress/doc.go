// Package progress knows how far one partition is: which of its records are
// done, what a commit may say about them, and what a new owner may skip.
//
//   - [Ring] holds the records of one partition in arrival order, one done-bit
//     each; [Ring.Snapshot] turns them into a watermark and the runs done ahead.
//   - [Meta] is what travels in the metadata of an offset commit; [Encode] and
//     [Decode] are its text form, versioned and never longer than the broker allows.
//   - [Skip] answers, for the owner that starts from a decoded Meta, which
//     records were done before and how often the others were tried.
//
// The package is pure: no clock, no goroutine, no Kafka.
//
// # Why a snapshot may be recorded
//
// The records of one key are done in order. A snapshot is only worth recording
// when it is closed per key: it holds an offset only together with all earlier
// offsets of the same key. Otherwise a restart would run the earlier record
// after the later one. Done-bits are read while workers set them, so the
// direction of the reading decides: from the newest to the oldest, whoever sees
// a record done has yet to read its predecessors, and they were done before it.
// From the oldest to the newest, a predecessor read as not done can be completed,
// and its successor too, before the reader gets there.
//
// A prefix of a closed set in offset order is closed too. That is why everything
// that does not fit (too many runs, too few characters) is cut at the high end,
// and why CompleteUpTo comes down with the cut.
package progress
