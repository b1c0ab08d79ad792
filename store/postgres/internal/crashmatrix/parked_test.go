package crashmatrix

import (
	"testing"

	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/internal/kafkatest"
	"github.com/orderly-go/orderly/internal/postgrestest"
)

// The change history while keys are parked and released all the time, with a kill and a
// database that is stopped: each change once, and nothing is left parked. One kill, for with
// more a record may count as the one that kills its process, and wait for an operator.
func TestChangeHistoryWithParkedKeys(t *testing.T) {
	if kafkatest.Shared() != nil || !postgrestest.Require(t) {
		return // as TestChangeHistory
	}
	s := postgrestest.Start(t)
	scene := effectstest.Scene{DSN: database(t, s.URL()), Open: openHistory, Kills: 1, Outages: 1, Parks: true, Outage: func() {
		s.StopNow(t)
		s.Restart(t)
	}}
	scene.Run(t)
}
