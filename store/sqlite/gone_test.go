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
	effectstest.Gone(t, db, func(statement string) (found [][2]int64) {
		rows, err := db.SQL().Query(statement)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var r [2]int64
			var other any
			if err := rows.Scan(&r[0], &other, &other, &other, &other, &r[1], &other); err != nil {
				t.Fatal(err)
			}
			found = append(found, r)
		}
		return found
	}, func(statement string) {
		if _, err := db.SQL().Exec(statement); err != nil {
			t.Fatal(err)
		}
	})
}
