// Package produce is what "orderly produce" does: it reads JSON lines and writes
// them as keyed records, in order, through a Producer. It stops at the first
// line that cannot be sent and at the first record that is not written, so that
// nothing passes them.
package produce
