// Package storetest tests a store.Backend: that what an owner is told of its steps
// is true, whatever other owners do at the same time.
package storetest
