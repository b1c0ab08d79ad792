// Package consume is what "orderly consume" does: it runs a Consumer whose
// handler prints records or gives them to worker processes, until it is told to
// stop or has come to the end.
package consume
