// Package connect knows how all commands reach a cluster: which settings there
// are, where each one comes from, and the client options that they make.
//
// A setting comes from the first of these that has it: a flag, the environment
// (ORDERLY_...), the file of --config, the default. In a file it has the name
// that the Java client or librdkafka gives it; a name that is neither ours nor
// one of theirs that we support is an error, because a setting that is silently
// ignored is a setting that somebody relies on.
//
// Secrets come from the environment or from files, never from a flag, which
// every user of the machine can read in the list of processes. No error and no
// output of this package has one in it; errors about a file therefore do not
// quote it.
package connect
