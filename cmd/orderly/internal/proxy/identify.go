package proxy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/orderly-go/orderly/internal/fieldpath"
)

// NumberAt gives the Identify of a command line's word: records are known by their
// own key and a number in them, which is a field of a JSON value (.n), the whole
// value (.), or a header (header:n).
func NumberAt(word string) (Identify, error) {
	if name, ok := strings.CutPrefix(word, "header:"); ok {
		if name == "" {
			return nil, fmt.Errorf("%q names no header; as header:n", word)
		}
		return func(_ string, r *Record) ([]byte, int64, bool) {
			v, ok := r.Header(name)
			return numbered(r, v, ok)
		}, nil
	}
	path, err := fieldpath.Parse(word)
	if err != nil {
		return nil, err
	}
	return func(_ string, r *Record) ([]byte, int64, bool) {
		if !json.Valid(r.Value) { // also none at all: Find reads only what is valid
			return nil, 0, false
		}
		v, err := path.Find(r.Value)
		return numbered(r, v, err == nil)
	}, nil
}

func numbered(r *Record, text []byte, ok bool) ([]byte, int64, bool) {
	if !ok {
		return nil, 0, false
	}
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	return r.Key, n, err == nil
}
