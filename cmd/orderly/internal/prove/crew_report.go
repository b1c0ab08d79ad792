package prove

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/orderly-go/orderly/internal/history"
)

// A report is a line in which a copy of a program says what it did with a record.
type report struct {
	Member string `json:"member"`
	Did    string `json:"did"`

	// The record: by its key and number, or by its place.
	Key       *string `json:"key"`
	Number    int64   `json:"number"`
	Partition *int32  `json:"partition"`
	Offset    *int64  `json:"offset"`
}

// What a copy can say. Each is said before the offset is committed.
const (
	saysStart   = "start"   // processing begins; who says it shows overlaps, too
	saysDone    = "done"    // it has ended well
	saysFailed  = "failed"  // it has not, and the record will be tried again
	saysSkipped = "skipped" // it is given up, on purpose
)

var sayings = map[string]bool{saysStart: true, saysDone: true, saysFailed: true, saysSkipped: true}

// parseReport reads a line: four words, or a JSON object. Lines that are about
// something else are none of ours; a line that is ours and makes no sense is broken.
func parseReport(line string, known func(member string) bool) (r report, ours, broken bool) {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "{") {
		err := json.Unmarshal([]byte(line), &r)
		if err != nil || !known(r.Member) {
			return r, false, err != nil && strings.Contains(line, `"member"`)
		}
		if r.Did == "" {
			r.Did = saysDone
		}
		byKey, byPlace := r.Key != nil && r.Number > 0, r.Partition != nil && r.Offset != nil
		return r, true, !sayings[r.Did] || byKey == byPlace
	}
	words := strings.Fields(line)
	if len(words) == 0 || !known(words[0]) {
		return r, false, false
	}
	if len(words) != 4 || !sayings[words[1]] {
		return r, true, true
	}
	n, err := strconv.ParseInt(words[3], 10, 64)
	return report{Member: words[0], Did: words[1], Key: &words[2], Number: n}, true, err != nil || n < 1
}

// turn is who acts in a partition, and since which of the group's reads of committed
// offsets.
type turn struct {
	member string
	reads  int64
}

// open is a record in processing.
type open struct {
	member string
	at     place
}

// A journal turns reports into events. Nobody tells it of assignments. But whoever
// is given a partition first asks for its committed offset, which goes through the
// proxy. So who acts after such a question, or after another member, may be a new
// owner, for whom repeating is no fault.
type journal struct {
	add   func(history.Event)
	topic string
	turns map[int32]turn
	open  map[open]int // attempts
}

func newJournal(topic string, add func(history.Event)) *journal {
	return &journal{add: add, topic: topic, turns: map[int32]turn{}, open: map[open]int{}}
}

// takes writes a report down.
func (j *journal) takes(r report, key string, at place, reads int64) {
	e := history.Event{Member: r.Member, Topic: j.topic, Partition: at.partition, Offset: at.offset}
	id := open{r.Member, at}
	attempt, running := j.open[id]
	begin := func() {
		if running {
			j.ends(e, attempt, false) // tried again
		}
		attempt++
		j.open[id] = attempt
		j.owns(r.Member, at.partition, reads)
		s := e
		s.Kind, s.Key, s.Attempt = history.Start, history.StringKey(key), attempt
		j.add(s)
	}
	switch r.Did {
	case saysStart:
		begin()
	case saysDone:
		if !running {
			begin() // it tells ends only: order shows, overlaps do not
		}
		j.ends(e, attempt, true)
		delete(j.open, id)
	case saysFailed, saysSkipped:
		if running {
			j.ends(e, attempt, false)
			delete(j.open, id)
		}
		if r.Did == saysSkipped {
			e.Kind, e.Why = history.Done, "skipped by the program"
			j.add(e)
		}
	}
}

func (j *journal) ends(e history.Event, attempt int, ok bool) {
	e.Kind, e.Attempt, e.OK = history.End, attempt, ok
	j.add(e)
}

func (j *journal) owns(member string, partition int32, reads int64) {
	now := turn{member, reads}
	before, ok := j.turns[partition]
	if before == now {
		return
	}
	j.turns[partition] = now
	e := history.Event{Member: member, Topic: j.topic, Partition: partition}
	if ok && before.member == member {
		e.Kind = history.Release
		j.add(e)
	}
	e.Kind = history.Own
	j.add(e)
}

// dies says that a copy's process is dead, and that all it said was taken.
func (j *journal) dies(member string) {
	for id := range j.open {
		if id.member == member {
			delete(j.open, id)
		}
	}
	j.add(history.Event{Kind: history.Kill, Member: member})
}
