// Package guard notices on a record that its number in the sequence of its key is
// wrong: that it came before, that one before it is missing, that it comes late,
// or that its writer was replaced. It knows nothing of Kafka and of time.
//
// What it says is "duplicate" only where it has itself seen that number done:
// whatever it has forgotten, or has never seen, is not skipped.
//
// Way of a number: Table.Check when its record is about to be handled, Table.Done
// when it is done, or Table.Pass when it was given up and its key went on. The records of one key come one after the other; different keys
// may come at the same time.
package guard
