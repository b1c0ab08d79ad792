package prove

import "github.com/orderly-go/orderly/cmd/orderly/internal/proxy"

// A Summary is what was done, beside the verdict.
type Summary struct {
	Workload   Workload      `json:"workload"`
	Subject    string        `json:"subject"`
	Control    string        `json:"control"`
	Brokers    []string      `json:"brokers"` // empty: the embedded broker
	Keys       int           `json:"keys"`
	Records    int           `json:"records_per_key"`
	Partitions int           `json:"partitions"`
	Seed       uint64        `json:"seed"`
	Rounds     int           `json:"rounds"`
	Seconds    float64       `json:"seconds"`
	Topics     []string      `json:"topics"`
	Faults     []proxy.Count `json:"faults"` // that struck the subject, in the last round
}

// Summary gives it.
func (r *Result) Summary(c *Config) Summary {
	return Summary{
		Workload: c.Workload, Subject: r.Subject.Name, Control: r.Control.Name, Brokers: append([]string{}, c.Brokers...),
		Keys: c.Keys, Records: c.Records, Partitions: c.Partitions, Seed: c.Seed, Rounds: r.Rounds, Seconds: r.Elapsed.Seconds(),
		Topics: r.Topics, Faults: append([]proxy.Count{}, r.Faults.Counts...),
	}
}
