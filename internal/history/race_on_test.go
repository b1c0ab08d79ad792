//go:build race

package history

// underRace: the race detector makes the checker ten times slower.
const underRace = true
