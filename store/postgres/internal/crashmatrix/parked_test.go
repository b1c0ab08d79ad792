package crashmatrix

import (
	"os"
	"testing"

	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/internal/postgrestest"
)

// The change history while keys are parked and released all the time, with a kill and a
// database that is stopped: each change once, and nothing is left parked. With more kills,
// in a soak and in the matrix, one change waits for an operator.
func TestChangeHistoryWithParkedKeys(t *testing.T) {
	if kafkatest.Shared() != nil || !postgrestest.Require(t) {
		return // as TestChangeHistory
	}
	s := postgrestest.Start(t)
	scene := effectstest.Scene{DSN: database(t, s.URL()), Open: openHistory, Kills: 1, Outages: 1, Parks: true, Outage: func() {
		s.StopNow(t)
		s.Restart(t)
	}}
	if os.Getenv("ORDERLY_SOAK") == "1" {
		scene.Kills, scene.Freezes, scene.Outages = 20, 10, 5
	}
	scene.Run(t)
}
