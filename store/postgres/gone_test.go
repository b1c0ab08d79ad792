package postgres

import (
	"testing"

	"github.com/orderly-go/orderly/internal/effectstest"
	"github.com/orderly-go/orderly/internal/postgrestest"
)

// What docs/effects.md says about records that compaction has removed.
func TestDocumentedStatements(t *testing.T) {
	if !postgrestest.Require(t) {
		return
	}
	db := open(t, server(t))
	effectstest.Gone(t, db, func(statement string) (effectstest.Rows, error) { return db.pool.Query(t.Context(), statement) }, func(statement string) error {
		_, err := db.pool.Exec(t.Context(), statement)
		return err
	})
}
