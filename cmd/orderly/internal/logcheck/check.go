package logcheck

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
)

// shown is how many pieces of evidence a finding prints.
const shown = 10

// A Report is what the sample shows.
type Report struct {
	Version int    `json:"format"`
	Topic   string `json:"topic"`
	Sample  struct {
		Partitions []Read `json:"partitions"`
		Records    int64  `json:"records"`
		Batches    int64  `json:"batches"`
		Bytes      int64  `json:"bytes"`
		Keys       int    `json:"keys"`
	} `json:"sample"`
	Writers []Writer `json:"writers"`
	finding.Report
}

// A Writer is one producer id, or all writers without one.
type Writer struct {
	ProducerID    int64     `json:"producer_id"` // -1: all without one
	Epochs        []int16   `json:"epochs"`      // lowest and highest
	Transactional bool      `json:"transactional"`
	Records       int64     `json:"records"`
	Batches       int64     `json:"batches"`
	First         wire.Spot `json:"first"`
	Last          wire.Spot `json:"last"`
	Partitioner   string    `json:"partitioner"`
	Hashes        []HashFit `json:"hashes"`
	Places        int       `json:"places"`
	Unexplained   int       `json:"unexplained"`
}

// A HashFit is a hash that explains where a writer's keys went.
type HashFit struct {
	Hash       string   `json:"hash"`
	Same       []string `json:"same,omitempty"` // hashes that say the same of these keys
	Partitions int32    `json:"partitions"`
	Places     int      `json:"places"`
}

// Check judges what was collected.
func Check(f *Facts) *Report {
	r := &Report{Version: 1, Topic: f.Topic}
	s := f.Sample
	r.Sample.Partitions, r.Sample.Records, r.Sample.Batches, r.Sample.Bytes, r.Sample.Keys = f.Read, s.Records, s.Batches, s.Bytes, s.Keys()
	writers := s.Writers()
	for _, w := range writers {
		r.Writers = append(r.Writers, describe(w))
	}
	if s.Records == 0 {
		r.Cannot("the sample has no records", "L01", "L02", "L03", "L04", "L05", "K01", "K02", "K03", "K04", "K06", "K07")
		r.Finish()
		return r
	}
	c := &check{f, s, writers, r}
	c.noID()
	c.bumps()
	c.several()
	c.breaks()
	c.falls()
	c.nullKeys()
	c.splits()
	c.unused()
	c.hashes()
	c.limits()
	r.Finish()
	return r
}

func describe(w *wire.Writer) Writer {
	fp := w.Fingerprint
	out := Writer{ProducerID: w.ID, Epochs: []int16{w.MinEpoch, w.MaxEpoch}, Transactional: w.Transactional, Records: w.Records, Batches: w.Batches,
		First: w.First, Last: w.Last, Places: fp.Places, Unexplained: len(fp.Others), Hashes: []HashFit{}}
	for _, fit := range fp.Fits {
		out.Hashes = append(out.Hashes, HashFit{fit.Hash.Name, fit.Same, fit.Partitions, len(fit.Places)})
	}
	out.Partitioner = partitioner(w)
	return out
}

// partitioner is a fingerprint in words.
func partitioner(w *wire.Writer) string {
	fp := w.Fingerprint
	switch {
	case fp.Places == 0:
		return "no keys"
	case fp.Few:
		return fmt.Sprintf("too few keys to tell (%d)", fp.Places)
	case len(fp.Fits) == 0:
		return "none that is known: round robin, random, partitions given by the program, or a hash of its own"
	}
	var parts []string
	for _, fit := range fp.Fits {
		parts = append(parts, fmt.Sprintf("%s among %d (%d of %d keys)", hashName(fit), fit.Partitions, len(fit.Places), fp.Places))
	}
	if n := len(fp.Others); n > 0 {
		parts = append(parts, plural.Of(n, "key")+" that no hash explains")
	}
	return strings.Join(parts, "; ")
}

func hashName(fit wire.Fit) string {
	return strings.Join(append([]string{fit.Hash.Name}, fit.Same...), " or ")
}

type check struct {
	f       *Facts
	s       *wire.Sample
	writers []*wire.Writer
	r       *Report
}

func spot(o wire.Spot) string {
	return fmt.Sprintf("partition %d offset %d, %s, %s", o.Partition, o.Offset, o.Time.UTC().Format(time.RFC3339), producer(o.ProducerID))
}

func producer(id int64) string {
	if id < 0 {
		return "no producer id"
	}
	return fmt.Sprintf("producer %d", id)
}

// some makes evidence of the first of many.
func some[T any](all []T, total int64, one func(T) string) (lines []string) {
	for i, v := range all {
		if i == shown {
			break
		}
		lines = append(lines, one(v))
	}
	if more := total - int64(len(lines)); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

func (c *check) noID() {
	c.r.Checks("L01")
	n := c.s.NoID
	i := slices.IndexFunc(c.writers, func(w *wire.Writer) bool { return w.ID < 0 })
	if n.Batches == 0 || i < 0 {
		return
	}
	w := c.writers[i]
	c.r.Add(finding.Finding{Rule: "L01", Severity: finding.Error,
		What: fmt.Sprintf("%d of %s (%d of %s) %s no producer id: a writer is not idempotent, whatever its configuration says",
			n.Batches, plural.Of(c.s.Batches, "batch"), n.Records, plural.Of(c.s.Records, "record"), plural.Verb(n.Batches, "has", "have")),
		Where:  []string{"the oldest in the sample: " + spot(w.First), "the newest: " + spot(w.Last), "its keys: " + partitioner(w)},
		Damage: "the headers cannot tell: a retry that was written twice or too late looks like any other record; orderly audit with a number of your own can",
		Fix:    "find the writer (its client.id is in the broker's request log; the partitioner says which client it may be) and make it idempotent: enable.idempotence=true and acks=all"})
}

func (c *check) bumps() {
	c.r.Checks("L02")
	if c.s.BumpN == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "L02", Severity: finding.Warn,
		What: fmt.Sprintf("an idempotent producer raised its epoch %s: each time it gave a batch up, or lost track of one", plural.Of(c.s.BumpN, "time")),
		Where: some(c.s.Bumps, c.s.BumpN, func(b wire.Bump) string {
			return fmt.Sprintf("%s: epoch %d to %d", spot(b.At), b.From, b.To)
		}),
		Damage: "records that were given up are missing before these offsets, unless the program sent them again: then they are later than their successors, or twice there",
		Fix:    "raise delivery.timeout.ms and stop at the first failed record; orderly's producer closes the key"})
}

func (c *check) several() {
	if c.f.ProducersErr != nil {
		c.r.Cannot(why(c.f.ProducersErr, "DescribeProducers (Read on the topic)")+"; only what the sample shows was looked at", "L03")
	} else {
		c.r.Checks("L03")
	}
	if c.s.MixN > 0 {
		c.r.Add(finding.Finding{Rule: "L03", Severity: finding.Error,
			What: fmt.Sprintf("several producers write the same keys in turn (seen %s): nothing orders them among each other", plural.Of(c.s.MixN, "time")),
			Where: some(c.s.Mixes, c.s.MixN, func(m wire.Mix) string {
				return fmt.Sprintf("key %q: producer %d at offset %d, producer %d at offset %d, and producer %d again at offset %d of partition %d",
					m.Key, m.First.ProducerID, m.First.Offset, m.Second.ProducerID, m.Second.Offset, m.Back.ProducerID, m.Back.Offset, m.Back.Partition)
			}),
			Damage: "perhaps: only a number of your own in the records can tell (orderly audit --seq)",
			Fix:    "one writer for each key at a time"})
		return
	}
	active := map[int32][]string{}
	for _, p := range c.f.Active {
		if c.f.Now.Sub(p.Last) <= c.f.Window {
			active[p.Partition] = append(active[p.Partition], fmt.Sprintf("%d (last wrote %s)", p.ID, p.Last.UTC().Format(time.RFC3339)))
		}
	}
	var parts []int32
	for p, who := range active {
		if len(who) > 1 {
			parts = append(parts, p)
		}
	}
	if slices.Sort(parts); len(parts) == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "L03", Severity: finding.Note,
		What: fmt.Sprintf("%s more than one producer that wrote within %s: order among them is not defined. The sample shows no key that two of them wrote in turn; a restarted producer is a new one, too",
			plural.Of(len(parts), "partition")+plural.Verb(len(parts), " has", " have"), c.f.Window),
		Where: some(parts, int64(len(parts)), func(p int32) string {
			return fmt.Sprintf("partition %d: producers %s", p, strings.Join(active[p], ", "))
		}),
		Fix: "one writer for each key at a time"})
}

func (c *check) breaks() {
	switch {
	case c.f.ConfigErr != nil:
		c.r.Cannot(why(c.f.ConfigErr, "DescribeConfigs (DescribeConfigs on the topic)")+": whether it is compacted, which takes batches out, is not known", "L04")
		return
	case c.f.Compacted:
		c.r.Cannot("the topic is compacted, which takes batches out", "L04")
		return
	}
	c.r.Checks("L04")
	if c.s.BreakN == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "L04", Severity: finding.Error,
		What: fmt.Sprintf("%s not follow the batch before of the same producer: batches that the brokers had accepted are missing", plural.Of(c.s.BreakN, "batch")+plural.Verb(c.s.BreakN, " does", " do")),
		Where: some(c.s.Breaks, c.s.BreakN, func(b wire.Break) string {
			return fmt.Sprintf("%s, epoch %d: sequence %d where %d follows", spot(b.At), b.Epoch, b.Have, b.Want)
		}),
		Damage: "yes, unless the producer had been idle for longer than the brokers keep its state (producer.id.expiration.ms): the records in between are lost",
		Fix:    "look for an unclean leader election or a lost disk at that time; unclean.leader.election.enable=false, three replicas, min.insync.replicas=2"})
}

func (c *check) falls() {
	c.r.Checks("L05")
	if c.s.FallN == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "L05", Severity: finding.Error,
		What: fmt.Sprintf("the leader's epoch falls %s along the log: parts of it come from leaders that had lost it", plural.Of(c.s.FallN, "time")),
		Where: some(c.s.Falls, c.s.FallN, func(b wire.EpochFall) string {
			return fmt.Sprintf("%s: leader epoch %d after %d", spot(b.At), b.To, b.From)
		}),
		Damage: "yes: acknowledged records were cut off, and offsets given again",
		Fix:    "unclean.leader.election.enable=false, three replicas, min.insync.replicas=2"})
}

func (c *check) limits() {
	r := c.r
	whole := 0
	for _, p := range c.f.Read {
		if p.Whole {
			whole++
		}
	}
	if whole < len(c.f.Read) {
		r.Unseen = append(r.Unseen, fmt.Sprintf("of %d of %d partitions the middle: only the oldest and newest records were read (--sample); orderly audit reads everything", len(c.f.Read)-whole, len(c.f.Read)))
	}
	r.Unseen = append(r.Unseen, "acks and retries of the writers: they leave no trace in a log; nor does a duplicate that an application sent itself")
	if c.f.OpenRecords > 0 {
		r.Unseen = append(r.Unseen, fmt.Sprintf("whether the last %d offsets, which belong to open transactions or follow them, will be committed", c.f.OpenRecords))
	}
	if c.s.KeysLeftOut {
		r.Unseen = append(r.Unseen, fmt.Sprintf("keys beyond the first %d were not compared with each other", c.s.Keys()))
	}
	if c.s.WritersLeftOut {
		r.Unseen = append(r.Unseen, fmt.Sprintf("writers beyond the first %d were not told apart", len(c.writers)))
	}
	if c.s.OldFormat > 0 {
		r.Unseen = append(r.Unseen, fmt.Sprintf("writers of %d batches in a message format before 0.11, which knows no producer ids", c.s.OldFormat))
	}
}

func splitList(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
