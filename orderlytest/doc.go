// Package orderlytest helps programs that use orderly to test themselves.
//
// [Deliver] runs a handler over some records as a consumer would, without a
// broker: the same code calls it, tries it again and keeps the order; waits
// between attempts pass at once.
//
// [NewBroker] starts a Kafka broker within the test, in memory. A [Group] of it
// runs consumers and writes down what their handlers do; a test makes members
// come and go, kills the owner of a partition or cuts it off, and asks at the end
// whether order held. [Dial] does the same with a cluster that is there already.
package orderlytest
