package demo

import (
	"fmt"
	"strings"
)

// A ParkingScene is what became of the faulty keys, and of the others beside them.
type ParkingScene struct {
	Records    int         `json:"records"`
	Keys       int         `json:"keys"`
	FaultyKeys int         `json:"faulty_keys"`
	Parked     int         `json:"records_parked"`
	HandedOver int         `json:"handed_over_behind_a_parked_record"` // must be 0
	InOrder    bool        `json:"parked_in_order"`
	Rate       float64     `json:"healthy_records_per_second"`
	P99        float64     `json:"healthy_p99_seconds"`
	QuietRate  float64     `json:"healthy_records_per_second_without_failures"`
	QuietP99   float64     `json:"healthy_p99_seconds_without_failures"`
	Released   float64     `json:"release_seconds"`
	Overtakes  int         `json:"overtakes"`             // applied before an earlier change of their file
	Different  int         `json:"end_state_differences"` // files that end in another way than they must
	Stalled    string      `json:"stalled,omitempty"`
	Listed     []ParkedKey `json:"parked_keys"` // some of them
}

// A ParkedKey is a faulty key while it was parked.
type ParkedKey struct {
	Key     string `json:"key"`
	Records int    `json:"records"`
	First   int    `json:"first_change"` // of the file
	Last    int    `json:"last_change"`
	Cause   string `json:"cause"`
}

// faults lists what is wrong with it.
func (s *ParkingScene) faults() (fs []string) {
	if s == nil {
		return nil
	}
	for _, c := range []struct {
		bad  bool
		text string
	}{
		{s.Stalled != "", s.Stalled},
		{s.Overtakes > 0, fmt.Sprintf("overtakes while keys were parked: %d", s.Overtakes)},
		{s.HandedOver > 0, fmt.Sprintf("records handed over behind a parked one: %d", s.HandedOver)},
		{!s.InOrder && s.Stalled == "", "what was parked was not all, or not in order"},
		{s.Different > 0, fmt.Sprintf("files that are wrong after the release: %d", s.Different)},
	} {
		if c.bad {
			fs = append(fs, c.text)
		}
	}
	return fs
}

// text says it for people.
func (s *ParkingScene) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Parking: the records of %d of %s keys failed, until the fault was mended.\n", s.FaultyKeys, thousands(s.Keys))
	fmt.Fprintf(&b, "  the other keys            records/s   99 %% done within\n")
	fmt.Fprintf(&b, "    with the faulty keys    %9s   %.0f ms\n", thousands(int(s.Rate)), s.P99*1000)
	fmt.Fprintf(&b, "    without them            %9s   %.0f ms\n", thousands(int(s.QuietRate)), s.QuietP99*1000)
	fmt.Fprintf(&b, "  After 3 attempts a faulty key was parked: %s records waited, in order, in a topic of their own; %d of\n  them ran out of turn.\n", thousands(s.Parked), s.HandedOver)
	for _, k := range s.Listed {
		fmt.Fprintf(&b, "    %-44s %3d records, changes %d to %d: %s\n", short(k.Key, 44), k.Records, k.First, k.Last, k.Cause)
	}
	if more := s.FaultyKeys - len(s.Listed); more > 0 && len(s.Listed) > 0 {
		fmt.Fprintf(&b, "    and %d more\n", more)
	}
	end := "All files are as they must be."
	if s.Different > 0 || s.Stalled != "" {
		end = fmt.Sprintf("%d files are not as they must be.", s.Different)
	}
	fmt.Fprintf(&b, "  Then the fault was mended and each key released by command (\"orderly keys retry\"): done in %.1f s, %d overtook\n  another of its key. %s\n", s.Released, s.Overtakes, end)
	return b.String()
}

// short cuts the beginning of a path.
func short(path string, most int) string {
	if len(path) <= most {
		return path
	}
	return "..." + path[len(path)-most+3:]
}
