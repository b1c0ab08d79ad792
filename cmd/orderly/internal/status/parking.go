package status

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/health"
)

// Parked is what is parked of the partitions whose owners were reached.
type Parked struct {
	Keys    int        `json:"keys"`
	Records int        `json:"records"`
	Bytes   int64      `json:"bytes"`
	Oldest  *time.Time `json:"oldest"` // when the key failed that was parked first; null: none
	Paused  int        `json:"pauses"` // in force, of partitions and keys
}

// sumParked adds up what the owners say; nil: none was reached.
func (r *Report) sumParked() *Parked {
	var sum *Parked
	for _, p := range r.Partitions {
		if p.Live == nil {
			continue
		}
		if sum == nil {
			sum = &Parked{}
		}
		k := p.Live.Parking
		if k == nil {
			continue
		}
		sum.Keys, sum.Records, sum.Bytes, sum.Paused = sum.Keys+k.Keys, sum.Records+k.Records, sum.Bytes+k.Bytes, sum.Paused+len(k.Pauses)
		if k.Oldest != nil && (sum.Oldest == nil || k.Oldest.Before(*sum.Oldest)) {
			sum.Oldest = k.Oldest
		}
	}
	return sum
}

// parkedText is how many records of a partition are parked, and of how many keys.
func parkedText(k *health.Parking) string {
	switch {
	case k == nil:
		return "-"
	case k.Records == 0:
		return "0"
	}
	return fmt.Sprintf("%d (%s)", k.Records, plural.Of(k.Keys, "key"))
}

func oldestText(oldest *time.Time, now time.Time) string {
	if oldest == nil {
		return ""
	}
	return ", the oldest for " + age(*oldest, now)
}

func age(since, now time.Time) string { return max(0, now.Sub(since)).Round(time.Second).String() }

// writeParking prints what is parked, what is wrong with parking topics, and who has
// paused what.
func (r *Report) writeParking(w io.Writer) error {
	parked, troubled, paused := 0, 0, 0
	for _, p := range r.Partitions {
		if k := r.parkingOf(p); k != nil {
			parked += k.Keys
			paused += len(k.Pauses)
			if trouble(k) {
				troubled++
			}
		}
	}
	if parked > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprint(t, "\nPARKED OF\tKEYS\tRECORDS\tBYTES\tOLDEST\n")
		for _, p := range r.Partitions {
			if k := r.parkingOf(p); k != nil && k.Keys > 0 {
				oldest := "-"
				if k.Oldest != nil {
					oldest = age(*k.Oldest, r.Time)
				}
				fmt.Fprintf(t, "%s/%d\t%d\t%d\t%d\t%s\n", p.Topic, p.Partition, k.Keys, k.Records, k.Bytes, oldest)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintf(w, "\"orderly keys list --state parked -g %s -t TOPIC\" names the keys, with causes.\n", r.Group)
	}
	if troubled > 0 {
		fmt.Fprintln(w, "\nParking topics:")
		for _, p := range r.Partitions {
			if k := r.parkingOf(p); k != nil && trouble(k) {
				state := k.Reason
				if state == "" {
					state = "in use"
				}
				fmt.Fprintf(w, "%s/%d: %s: %s\n", dash(k.Topic), p.Partition, state, dash(line(k.Cause)))
			}
		}
	}
	if paused > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprint(t, "\nPAUSED\tKEY\tBY\tFOR\tWHY\tCOMMAND\n")
		for _, p := range r.Partitions {
			if k := r.parkingOf(p); k != nil {
				for _, by := range k.Pauses {
					fmt.Fprintf(t, "%s/%d\t%s\t%s\t%s\t%s\t%s\n", p.Topic, p.Partition, pausedKey(by), strconv.Quote(by.Who), age(by.Since, r.Time), line(by.Reason), line(by.ID))
				}
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) parkingOf(p Partition) *health.Parking {
	if p.Live == nil {
		return nil
	}
	return p.Live.Parking
}

// trouble says that something is wrong with the parking topic. A pause of the partition
// is a cause as well, and shown as what it is.
func trouble(k *health.Parking) bool {
	return k.Reason != "" && k.Reason != "paused" || k.Reason == "" && k.Cause != ""
}

func pausedKey(p health.Pause) string {
	switch {
	case p.Whole:
		return "all of it"
	case p.KeyHash != "":
		return "hash:" + p.KeyHash
	}
	return "one"
}
