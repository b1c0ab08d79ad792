// Bench measures orderly's consumer beside a bare franz-go poll loop, and its
// sleeping handlers beside a bare pool of sleeping goroutines:
//
//	go run ./bench                      all workloads, on the embedded broker
//	go run ./bench -quick               a look in two minutes, too few pairs to judge by
//	go run ./bench -run 'hot|distinct'  some of them
//	go run ./bench -brokers host:9092   on a Kafka that is there
//
// Two things that are compared run in turn, A B A B, each in a process of its
// own, so that the heap, the garbage collector and the scheduler begin fresh; the
// embedded broker is a process of its own as well. The first pair is discarded.
// What counts is the median of the pairs' ratios with its 95 % interval: a machine
// that is busy, or that slows down over the minutes, moves both halves of a pair.
//
// A bare loop keeps little alive, so that at the same GOGC it collects garbage
// several times as often as a consumer with a buffer and looks slower than it is.
// So there are two floors: the plain one, and one with a ballast that gives it our
// live heap. The bars hold for the second.
//
// Ways through the files: workloads.go names what is measured, pairs.go and
// facts.go measure it, child.go is what a measured process runs.
package main
