package localbroker

import (
	"fmt"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"path/filepath"
)

// memoryWarning is the size of all segments from which a start says what it
// will cost: kfake reads every segment whole when it loads.
const memoryWarning = 1 << 30

// standingRisks are those of a directory as such, however it was ended.
func (d *dataDir) standingRisks() []string {
	var risks []string
	if d.bytes >= memoryWarning {
		gib := float64(d.bytes) / (1 << 30)
		risks = append(risks, fmt.Sprintf("%.1f GiB of records: each start reads all of it at once and needs about that much memory; set retention.bytes or retention.ms on large topics, or delete them", gib))
	}
	for _, t := range d.topics {
		if t.compacted() {
			risks = append(risks, fmt.Sprintf("topic %s is compacted: a partition is removed before it is written anew, and a kill in between loses it whole; keep nothing in it that exists only here", t.Name))
		}
	}
	return risks
}

// nameRisks says what the repair found and cannot make good.
func (r *repair) nameRisks(p *partitionDir, l *partitionLog) {
	if l.gaps > 0 && !r.compacted(p.topic) {
		r.risks = append(r.risks, fmt.Sprintf("%s: offsets are missing in the middle (%s): records were lost, or deleted by hand", p, plural.Of(l.gaps, "place")))
	}
	if n := len(l.open); n > 0 {
		r.risks = append(r.risks, fmt.Sprintf("%s: %s open at the end: taken as aborted now, but that is not written down, and after a second unclean end its records may count as committed", p, plural.Of(n, "transaction")+plural.Verb(n, " was", " were")))
	}
	// Records deleted by retention or by request leave no trace of their
	// offsets when nothing is behind them.
	var snap struct {
		HighWatermark int64 `json:"high_watermark"`
	}
	// A snapshot that cannot be read is no snapshot: kfake then reads the segments too.
	_, _ = readJSON(filepath.Join(p.path, snapshotName), &snap)
	c := r.commits[topicPartition{p.topic, p.partition}]
	switch {
	case c.offset > l.end:
		r.risks = append(r.risks, fmt.Sprintf("%s ends at offset %d, but group %s has committed %d: offsets are given out again, and that group would pass over new records; reset its offset before it reads", p, l.end, c.group, c.offset))
	case snap.HighWatermark > l.end:
		r.risks = append(r.risks, fmt.Sprintf("%s ends at offset %d, but had reached %d: offsets are given out again", p, l.end, snap.HighWatermark))
	}
}

func (r *repair) compacted(topic string) bool {
	for _, t := range r.dir.topics {
		if t.Name == topic {
			return t.compacted()
		}
	}
	return false
}
