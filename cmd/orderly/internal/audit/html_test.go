package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fill puts a text into every string of a report, and something into every list.
func fill(v reflect.Value, text string, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if depth < 8 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), text, depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(text))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), text, depth+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text, depth+1)
			}
		}
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// Whatever is in keys, writers' names or the topic's name: the page has the same tags
// and attributes, and the text is there to read.
func TestThePageIsSafe(t *testing.T) {
	page := func(text string) (string, []string) {
		r := &Report{}
		fill(reflect.ValueOf(r).Elem(), text, 0)
		r.At = time.Now()
		var out bytes.Buffer
		must(t, r.WriteHTML(&out))
		return out.String(), tags.FindAllString(out.String(), -1)
	}
	plain, want := page("harmless")
	if n := strings.Count(plain, "harmless"); n < 30 {
		t.Fatalf("the text is only %d times in the page", n)
	}
	for _, hostile := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `x" style="position:fixed`, `</style><script>alert(1)</script>`,
		`</title><script>`, `<!-- `, `{{.Topic}}`, `javascript:alert(1)`, "a\x00b<\u2028script>", `]]><x>`,
	} {
		text, got := page(hostile)
		for i := range got {
			got[i] = classOf.ReplaceAllString(got[i], `class="finding harmless"`)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q changes the tags of the page", hostile)
		}
		if strings.Contains(text, hostile) && strings.ContainsAny(hostile, "<>\"'") {
			t.Errorf("%q stands in the page as it is", hostile)
		}
		r := &Report{}
		fill(reflect.ValueOf(r).Elem(), hostile, 0)
		raw, err := json.Marshal(r)
		if err != nil || bytes.ContainsAny(raw, "<>") {
			t.Errorf("%q in JSON: %v", hostile, err)
		}
	}
}

var classOf = regexp.MustCompile(`class="finding [^"]*"`)
