package explain

import (
	"bytes"
	"regexp"
	"strconv"
	"time"
)

// The times that logs begin with. A line's is the first of them in it.
var (
	isoTime    = regexp.MustCompile(`\b(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?`)
	unixTime   = regexp.MustCompile(`^(?:%\d\|)?(1\d{9})\.(\d{3})\|`)                                             // librdkafka's own
	numberTime = regexp.MustCompile(`"(?:ts|time|timestamp|@timestamp)":\s*"?(1\d{9})(?:\.(\d{1,9})|(\d{3}))?\b`) // in JSON: seconds or milliseconds
)

const (
	timeRead = 400 // bytes at the beginning of a line, in which a time is looked for
	// Logs that do not say their zone are shown as they are.
	plainTime = "2006-01-02 15:04:05.000"
)

// when is the time of a line, or zero.
func when(line string) time.Time {
	if len(line) > timeRead {
		line = line[:timeRead]
	}
	if m := unixTime.FindStringSubmatch(line); m != nil {
		return fromUnix(m[1], m[2])
	}
	if m := isoTime.FindStringSubmatch(line); m != nil {
		t, err := time.Parse("2006-01-02 15:04:05", m[1]+"-"+m[2]+"-"+m[3]+" "+m[4])
		if err != nil {
			return time.Time{}
		}
		if m[5] != "" {
			nanos, _ := strconv.Atoi((m[5] + "000000000")[:9])
			t = t.Add(time.Duration(nanos))
		}
		if z := m[6]; len(z) >= 5 {
			h, _ := strconv.Atoi(z[1:3])
			mi, _ := strconv.Atoi(z[len(z)-2:])
			off := time.Duration(h)*time.Hour + time.Duration(mi)*time.Minute
			if z[0] == '+' {
				off = -off
			}
			t = t.Add(off)
		}
		return t
	}
	if m := numberTime.FindStringSubmatch(line); m != nil {
		return fromUnix(m[1], m[2]+m[3])
	}
	return time.Time{}
}

func fromUnix(seconds, fraction string) time.Time {
	s, _ := strconv.ParseInt(seconds, 10, 64)
	n, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	return time.Unix(s, n).UTC()
}

// hasTime says whether a line begins with a time, behind its indentation.
func hasTime(line []byte) bool {
	line = bytes.TrimLeft(line, " \t[")
	return len(line) > 0 && '0' <= line[0] && line[0] <= '9' && !when(string(line[:min(len(line), 40)])).IsZero()
}
