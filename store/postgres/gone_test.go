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
	effectstest.Gone(t, db, func(statement string) (found [][2]int64) {
		rows, err := db.pool.Query(t.Context(), statement)
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
		if _, err := db.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	})
}
