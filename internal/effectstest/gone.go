package effectstest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/store"
)

// Rows is what a driver returns for a query; it is closed when Next returns false.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
}

// Gone runs the statements of docs/effects.md about records that compaction has removed:
// they find and delete the rows of these, and no other.
func Gone(t *testing.T, b store.Backend, query func(statement string) (Rows, error), exec func(statement string) error) {
	t.Helper()
	ctx := t.Context()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "docs", "effects.md"))
	must(t, err)
	blocks := strings.Split(string(text), "```sql\n")
	if len(blocks) != 3 {
		t.Fatalf("%d statements are documented, want 2", len(blocks)-1)
	}
	find, _, _ := strings.Cut(blocks[1], "```")
	remove, _, _ := strings.Cut(blocks[2], "```")

	part := store.Part{Group: "g", Handler: "h", Topic: "t", TopicID: [16]byte{1}}
	_, err = b.Begin(ctx, part, store.Layout{Lanes: 1, Hash: 1}, 5, 0)
	must(t, err)
	row := func(offset int64, payload []byte) store.Exception {
		return store.Exception{Offset: offset, Key: []byte("k"), Payload: payload}
	}
	// At 1 it is gone, at 2 parked, and 3 and 4 are still needed.
	must(t, b.Apply(ctx, store.Step{Part: part, Token: 5, Advance: &store.Advance{From: store.Unknown, To: 5,
		Detach: []store.Exception{row(1, nil), row(2, []byte("p")), row(3, nil), row(4, nil)}}}, nil))
	if moved, err := b.Low(ctx, part, 5, 3, func(store.State) error { return nil }); err != nil || !moved {
		t.Fatal(moved, err)
	}
	rows, err := query(find)
	must(t, err)
	var found [][2]int64 // id and offset
	for rows.Next() {
		var r [2]int64
		var other any
		must(t, rows.Scan(&r[0], &other, &other, &other, &other, &r[1], &other))
		found = append(found, r)
	}
	must(t, rows.Err())
	if len(found) != 1 || found[0][1] != 1 {
		t.Fatalf("found %v, want the one row at offset 1", found)
	}
	for _, offset := range []int64{found[0][1], 2} { // a parked one is never deleted so
		must(t, exec(strings.NewReplacer(":id", fmt.Sprint(found[0][0]), ":off", fmt.Sprint(offset)).Replace(remove)))
	}
	st, err := b.Look(ctx, part, 0)
	must(t, err)
	var left []int64
	for _, e := range st.Exceptions {
		left = append(left, e.Offset)
	}
	if fmt.Sprint(left) != "[2 3 4]" {
		t.Errorf("left are %v", left)
	}
	must(t, b.Apply(ctx, store.Step{Part: part, Token: 5, Release: &store.Release{Exception: row(2, []byte("p"))}}, func(context.Context, any) error { return nil }))
}
