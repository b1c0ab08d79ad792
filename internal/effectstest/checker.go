package effectstest

import (
	"encoding/json"
	"testing"
)

// A Logged is a record of the log.
type Logged struct {
	Partition  int32
	Offset     int64
	Key, Value []byte
}

// againstLog holds the table of what was applied against the log: each record of the log once and nothing else, and along the
// records of a key no token below the one before. A lower one is a zombie's, whose
// effect came after that of its successor.
func againstLog(t *testing.T, db *DB, records []Logged) {
	t.Helper()
	type step struct {
		path string
		seq  int
	}
	tokens := map[step]int64{}
	must(t, db.Query(t.Context(), `SELECT path, seq, token FROM applied`, func(scan func(...any) error) error {
		var s step
		var token int64
		err := scan(&s.path, &s.seq, &token)
		tokens[s] = token
		return err
	}))
	last := map[string]int64{}
	for _, r := range records {
		var c change
		must(t, json.Unmarshal(r.Value, &c))
		s := step{string(r.Key), c.Seq}
		token, ok := tokens[s]
		switch {
		case !ok:
			t.Errorf("partition %d offset %d, %s %d, is in the log and was not applied, or is twice in the log", r.Partition, r.Offset, s.path, s.seq)
		case token < last[s.path]:
			t.Errorf("partition %d offset %d, %s %d, was applied under token %d, after %d", r.Partition, r.Offset, s.path, s.seq, token, last[s.path])
		}
		last[s.path] = token
		delete(tokens, s)
	}
	for s, token := range tokens {
		t.Errorf("%s %d was applied under token %d, and is not in the log", s.path, s.seq, token)
	}
}
