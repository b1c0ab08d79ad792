package sqlite

import (
	"testing"

	"github.com/orderly-go/orderly/internal/effectstest"
)

// What docs/effects.md says about records that compaction has removed.
func TestDocumentedStatements(t *testing.T) {
	db, err := Open(migratedFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	effectstest.Gone(t, db, func(statement string) (effectstest.Rows, error) { return db.SQL().Query(statement) }, func(statement string) error {
		_, err := db.SQL().Exec(statement)
		return err
	})
}
