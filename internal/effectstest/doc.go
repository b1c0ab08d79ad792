// Package effectstest applies a real change history through consumers with effects,
// processes of their own that are killed and frozen while they run, and compares what
// the database has in the end with what is known to be true. The tests of store/sqlite
// and store/postgres use it.
//
// Each change is checked as it is applied: one that comes twice, too early or too late
// violates a constraint, or finds no row to change, and fails.
package effectstest
