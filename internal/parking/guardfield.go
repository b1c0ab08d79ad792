package parking

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/orderly-go/orderly/internal/progress"
)

// GuardTag is the tag of the guard among the fields of a commit's metadata. A
// release that does not know it writes the field back unchanged.
const GuardTag = "parking"

// GuardSize is what the field takes up at most. The metadata must have this room
// beside what it always carries (progress.MinLimit): a commit that drops the guard
// drops what is parked.
const GuardSize = len(";"+GuardTag+"=") + 2*16 + len(".9223372036854775806.1")

// Field returns the guard as a field of the metadata: topic id, trim position and
// whether anything is parked, with dots between.
func (g Guard) Field() progress.Field {
	holds := 0
	if g.Holds {
		holds = 1
	}
	return progress.Field{Tag: GuardTag, Value: fmt.Sprintf("%s.%d.%d", hex.EncodeToString(g.TopicID[:]), g.Trim, holds)}
}

// GuardOf returns the guard among the fields of a commit's metadata, nil when
// there is none. A guard that cannot be read is an error: without it what is
// parked would be dropped.
func GuardOf(fields []progress.Field) (*Guard, error) {
	var found *Guard
	for _, f := range fields {
		if f.Tag != GuardTag {
			continue
		}
		var g Guard
		parts := strings.Split(f.Value, ".")
		if found != nil || len(parts) != 3 || len(parts[0]) != 2*len(g.TopicID) {
			return nil, guardError(f.Value)
		}
		trim, err := strconv.ParseInt(parts[1], 10, 64)
		g.Trim, g.Holds = trim, parts[2] == "1"
		if err != nil || trim < 0 || trim == math.MaxInt64 || g.TopicID.UnmarshalText([]byte(parts[0])) != nil || g.Field() != f {
			return nil, guardError(f.Value)
		}
		found = &g
	}
	return found, nil
}

func guardError(value string) error {
	return &MismatchError{fmt.Sprintf("the commit's metadata says %q of the parking topic, which this release cannot read", value),
		"run the release that wrote it, or say what becomes of the parked records before the group starts"}
}
