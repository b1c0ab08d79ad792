package progress

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// golden is one text of testdata/meta-v1.json, with what it means.
type golden struct {
	Name      string
	Watermark int64
	Text      string
	Meta      Meta
}

func readGolden(t testing.TB) []golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/meta-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no golden texts")
	}
	return all
}

// Committed offsets outlive releases. The file is never written again: a
// release reads its own version and the one before; a new version gets a file
// of its own.
func TestVersion1IsReadAndWrittenAsEver(t *testing.T) {
	for _, g := range readGolden(t) {
		t.Run(g.Name, func(t *testing.T) {
			if got := mustDecode(t, g.Watermark, g.Text); !reflect.DeepEqual(got, g.Meta) {
				t.Errorf("read    %+v\ngolden  %+v", got, g.Meta)
			}
			if text, dropped := mustEncode(t, g.Watermark, g.Meta, DefaultLimit); text != g.Text || dropped != (Dropped{}) {
				t.Errorf("written %s\ngolden  %s\ndropped %+v", text, g.Text, dropped)
			}
		})
	}
}
