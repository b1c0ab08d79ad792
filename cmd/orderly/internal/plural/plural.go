// Package plural writes counts as people do: "1 record", "2 records".
package plural

import (
	"strconv"
	"strings"
)

// Of is a count with its noun: Of(1, "batch") is "1 batch", Of(2, "batch") "2 batches".
// A noun of several words ends in the one that is counted.
func Of[N int | int16 | int32 | int64](n N, noun string) string {
	return strconv.FormatInt(int64(n), 10) + " " + Noun(n, noun)
}

// Noun is the noun of a count.
func Noun[N int | int16 | int32 | int64](n N, noun string) string {
	switch {
	case n == 1:
		return noun
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ey"):
		return noun[:len(noun)-1] + "ies"
	case strings.HasSuffix(noun, "ch"), strings.HasSuffix(noun, "sh"), strings.HasSuffix(noun, "x"), strings.HasSuffix(noun, "s"):
		return noun + "es"
	}
	return noun + "s"
}

// Verb is the form of a verb that goes with a count: Verb(n, "is", "are").
func Verb[N int | int16 | int32 | int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
