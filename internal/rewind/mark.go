// Package rewind is what the metadata of a commit says of an operator's reset of the
// group's offsets that is not through, or that a database does not know of.
package rewind

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orderly-go/orderly/internal/progress"
)

// Tag is that of the field.
const Tag = "reset"

// A Stage is how far a reset is.
type Stage string

const (
	// Begun: databases are being moved; what is committed is of before. Nobody may start.
	Begun Stage = "begun"
	// KafkaOnly: the offset was moved, and no database was named. Who keeps positions in
	// one must not start.
	KafkaOnly Stage = "kafka"
)

// A Mark is the field.
type Mark struct {
	Stage  Stage
	Offset int64 // where the reset leads
}

// Field is the mark as a field of the metadata.
func (m Mark) Field() progress.Field {
	return progress.Field{Tag: Tag, Value: fmt.Sprintf("%s.%d", m.Stage, m.Offset)}
}

// Of returns the mark among the fields of a commit's metadata, nil when there is none,
// and the other fields.
func Of(fields []progress.Field) (m *Mark, others []progress.Field, err error) {
	for _, f := range fields {
		if f.Tag != Tag {
			others = append(others, f)
			continue
		}
		stage, offset, _ := strings.Cut(f.Value, ".")
		n, err := strconv.ParseInt(offset, 10, 64)
		read := Mark{Stage(stage), n}
		if err != nil || n < 0 || !slices.Contains([]Stage{Begun, KafkaOnly}, read.Stage) || read.Field() != f || m != nil {
			return nil, fields, fmt.Errorf("the commit's metadata says %q of a reset of offsets, which this release cannot read: run the release that wrote it, or reset again", f.Value)
		}
		m = &read
	}
	return m, others, nil
}
