package explain

import (
	"fmt"
	"math"
	"strconv"
)

// judge says what the numbers of one line mean. Its kind keeps findings apart that
// mean different things.
func judge(e *Entry, f Facts) (kind, text string) {
	switch e.ID {
	case "out-of-order-sequence":
		return judgeSequence(f)
	case "new-epoch-sequence":
		return "", fmt.Sprintf("the first batch of epoch %s began at sequence number %s instead of 0: an earlier batch of that epoch was not written.", f.Epoch, f.Incoming)
	case "invalid-producer-epoch":
		if f.Epoch != "" && f.OldEpoch != "" {
			return "", fmt.Sprintf("epoch %s wrote when the partition had seen epoch %s: a newer session of this producer is at work, and the batch of the older one was refused.", f.Epoch, f.OldEpoch)
		}
	case "delivery-timed-out":
		if f.Records != "" {
			text = fmt.Sprintf("%s records were given up", f.Records)
			if f.Millis != "" {
				text += fmt.Sprintf(" after %s ms", f.Millis)
			}
			return "", text + "; those sent after them may be in the log: that is the gap."
		}
	case "rewound-sequence":
		return "", compare(f, "the batch at %s was behind the next expected number %s: it had been acknowledged, or answered out of turn, before.")
	case "skipped-sequence":
		return "", compare(f, "the batch at %s was ahead of the next expected number %s: an earlier batch had failed; librdkafka goes back and sends both again.")
	case "poll-interval":
		if f.Millis != "" {
			return "", fmt.Sprintf("the limit was %s ms.", f.Millis)
		}
	case "truncation-detected", "offset-out-of-range", "offset-reset":
		return judgeJump(f)
	}
	if f.Retried != "" {
		return "retried", fmt.Sprintf("the client tries again (%s attempts left): nothing is lost by this line alone.", f.Retried)
	}
	return "", ""
}

func compare(f Facts, format string) string {
	if f.Incoming == "" || f.Last == "" {
		return ""
	}
	return fmt.Sprintf(format, f.Incoming, f.Last)
}

// judgeSequence reads the two numbers of a refused batch: N came, M was the last.
// Numbers count from 0 to the largest int32 and begin again at 0.
func judgeSequence(f Facts) (kind, text string) {
	n, err1 := strconv.ParseInt(f.Incoming, 10, 32)
	m, err2 := strconv.ParseInt(f.Last, 10, 32)
	if err1 != nil || err2 != nil || n < 0 || m < -1 {
		if f.Retried != "" {
			return "retried", fmt.Sprintf("the client tries again (%s attempts left); the broker's log has the two numbers that say whether a batch is missing or an old one came twice.", f.Retried)
		}
		return "", ""
	}
	const wrap = math.MaxInt32 + 1
	missing := (n - m - 1 + wrap) % wrap
	switch {
	case m == -1 && n == 0:
		return "", ""
	case m == -1:
		return "missing", fmt.Sprintf("the broker had nothing of this producer's epoch, and the batch began at %d: the %d records before it were not written (or what was written was cut off or deleted since).", n, n)
	case n == 0 && missing != 0:
		return "restarted", fmt.Sprintf("the client counted from 0 again while the broker was at %d: a new session with the old producer id and epoch, or the very first batch sent once more.", m)
	case missing == 0:
		return "", fmt.Sprintf("%d follows %d: these numbers are in order, so the line is about another state of the producer.", n, m)
	case missing < wrap/2:
		return "missing", fmt.Sprintf("%d came when %d was the last: %s missing between. An earlier batch failed, or has not arrived yet. When the client sends that one again and then this one, nothing is lost; when it gave it up, the gap stays.", n, m, records(missing))
	}
	return "old", fmt.Sprintf("%d came when %d was the last: it is behind by %d, so it is an old batch sent once more, older than the 5 batches that the broker remembers. It was written before; refusing it kept a duplicate out.", n, m, (m-n+wrap)%wrap)
}

func records(n int64) string {
	if n == 1 {
		return "1 record is"
	}
	return strconv.FormatInt(n, 10) + " records are"
}

// judgeJump says how far a consumer was moved.
func judgeJump(f Facts) (kind, text string) {
	from, err1 := strconv.ParseInt(f.Offset, 10, 64)
	to, err2 := strconv.ParseInt(f.To, 10, 64)
	switch {
	case err1 != nil || err2 != nil:
		return "", ""
	case to > from:
		return "forward", fmt.Sprintf("from offset %d to %d: up to %d records were passed over without being processed.", from, to, to-from)
	case to < from:
		return "back", fmt.Sprintf("from offset %d back to %d: up to %d records come again, or others now stand at their offsets.", from, to, from-to)
	}
	return "", ""
}
