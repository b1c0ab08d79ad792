package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A Hit is a fault that struck, and what it struck. In JSON it is a line of a
// schedule.
type Hit struct {
	Fault  Fault  `json:"fault"` // what its kind needs; the chosen ones are below
	Node   int32  `json:"node"`  // the broker; -1 for the bootstrap address
	API    string `json:"api"`
	Client string `json:"client"`

	// Batches are those of the request that cover a chosen record. A fault of
	// the connection strikes the whole request: Beside is how many more batches
	// there were in it.
	Batches []BatchHit `json:"batches,omitempty"`
	Beside  int        `json:"beside,omitempty"`

	Request *Target `json:"request,omitempty"` // when a request was chosen

	// Answer is the broker's to the (first) batch struck, when it came: 0 is no
	// error.
	Answer *int16 `json:"answer,omitempty"`
	// Late is the broker's answer to a request that was held or sent again.
	Late *int16 `json:"late,omitempty"`
	// Note says what did not go as the kind of fault says.
	Note string `json:"note,omitempty"`

	reported bool
}

// A BatchHit is a batch that covers chosen records.
type BatchHit struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Producer  int64    `json:"producer"` // -1: not idempotent
	Epoch     int16    `json:"epoch"`
	Sequence  int32    `json:"base_sequence"`
	Offset    int64    `json:"base_offset,omitempty"` // of what was fetched
	Records   int32    `json:"records"`
	Chosen    []Target `json:"chosen"`
}

// Count is what became of a fault.
type Count struct {
	Fault    Fault `json:"fault"`
	Requests int64 `json:"requests"` // that it struck
	Batches  int64 `json:"batches"`  // that cover a chosen record
	Chosen   int64 `json:"chosen"`   // records, or requests, that it was for
	// Impossible are requests that it was for and could not strike: an answer
	// with acks=0 cannot be lost.
	Impossible int64 `json:"impossible,omitempty"`
}

// Targets are all that the fault was for.
func (h *Hit) Targets() []Target {
	if h.Request != nil {
		return []Target{*h.Request}
	}
	var all []Target
	for _, b := range h.Batches {
		all = append(all, b.Chosen...)
	}
	return all
}

// WriteHit writes a hit as a line of JSON.
func WriteHit(w io.Writer, h *Hit) error {
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// maxLine is the longest line of a schedule.
const maxLine = 1 << 20

// ReadSchedule reads the faults of a schedule: lines that WriteHit wrote, or lines
// {"fault":{...}} by hand. Hits of the same fault become one that has all their
// records chosen.
func ReadSchedule(r io.Reader) ([]Fault, error) {
	var faults []Fault
	at := make(map[string]int) // by what the fault does
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		var h Hit
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&h); err != nil {
			return nil, &FaultError{fmt.Sprintf("line %d of the schedule: %v", n, err)}
		}
		f, err := h.again()
		if err != nil {
			return nil, &FaultError{fmt.Sprintf("line %d of the schedule: %v", n, err)}
		}
		chosen := f.Chosen
		f.Chosen = nil
		same, err := json.Marshal(f)
		if err != nil {
			return nil, err
		}
		i, ok := at[string(same)]
		if !ok || len(chosen) == 0 {
			i = len(faults)
			at[string(same)] = i
			faults = append(faults, f)
		}
		faults[i].Chosen = append(faults[i].Chosen, chosen...)
	}
	if err := lines.Err(); err != nil {
		return nil, &FaultError{fmt.Sprintf("reading the schedule: %v", err)}
	}
	return faults, nil
}

// again is the fault that strikes the same once more.
func (h *Hit) again() (Fault, error) {
	f := h.Fault
	if targets := h.Targets(); len(targets) > 0 {
		f.Share, f.Skip = 0, 0
		f.Chosen = targets
	}
	return f.settle()
}
