package logcheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
)

// shown is how many pieces of evidence a finding prints.
const shown = 10

// A Report is what the sample shows.
type Report struct {
	Version int    `json:"version"`
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
		parts = append(parts, fmt.Sprintf("%d keys that no hash explains", n))
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
		What: fmt.Sprintf("%d of %d batches (%d of %d records) have no producer id: a writer is not idempotent, whatever its configuration says",
			n.Batches, c.s.Batches, n.Records, c.s.Records),
		Where:   []string{"the oldest in the sample: " + spot(w.First), "the newest: " + spot(w.Last), "its keys: " + partitioner(w)},
		Damaged: "the headers cannot tell: a retry that was written twice or too late looks like any other record; orderly audit with a number of your own can",
		Fix:     "find the writer (its client.id is in the broker's request log; the partitioner says which client it may be) and make it idempotent: enable.idempotence=true and acks=all"})
}

func (c *check) bumps() {
	c.r.Checks("L02")
	if c.s.BumpN == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "L02", Severity: finding.Warn,
		What: fmt.Sprintf("an idempotent producer raised its epoch %d times: each time it gave a batch up, or lost track of one", c.s.BumpN),
		Where: some(c.s.Bumps, c.s.BumpN, func(b wire.Bump) string {
			return fmt.Sprintf("%s: epoch %d to %d", spot(b.At), b.From, b.To)
		}),
		Damaged: "records that were given up are missing before these offsets, unless the program sent them again: then they are later than their successors, or twice there",
		Fix:     "raise delivery.timeout.ms and stop at the first failed record; orderly's producer closes the key"})
}

func (c *check) several() {
	if c.f.ProducersErr != nil {
		c.r.Cannot(why(c.f.ProducersErr, "DescribeProducers (Read on the topic)")+"; only what the sample shows was looked at", "L03")
	} else {
		c.r.Checks("L03")
	}
	if c.s.MixN > 0 {
		c.r.Add(finding.Finding{Rule: "L03", Severity: finding.Error,
			What: fmt.Sprintf("several producers write the same keys in turn (seen %d times): nothing orders them among each other", c.s.MixN),
			Where: some(c.s.Mixes, c.s.MixN, func(m wire.Mix) string {
				return fmt.Sprintf("key %q: producer %d at offset %d, producer %d at offset %d, and producer %d again at offset %d of partition %d",
					m.Key, m.First.ProducerID, m.First.Offset, m.Second.ProducerID, m.Second.Offset, m.Back.ProducerID, m.Back.Offset, m.Back.Partition)
			}),
			Damaged: "perhaps: only a number of your own in the records can tell (orderly audit --seq)",
			Fix:     "one writer for each key at a time"})
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
		What: fmt.Sprintf("%d partitions have more than one producer that wrote within %s: order among them is not defined. The sample shows no key that two of them wrote in turn; a restarted producer is a new one, too",
			len(parts), c.f.Window),
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
		What: fmt.Sprintf("%d batches do not follow the batch before them of the same producer: batches that the brokers had accepted are missing", c.s.BreakN),
		Where: some(c.s.Breaks, c.s.BreakN, func(b wire.Break) string {
			return fmt.Sprintf("%s, epoch %d: sequence %d where %d follows", spot(b.At), b.Epoch, b.Have, b.Want)
		}),
		Damaged: "yes, unless the producer had been idle for longer than the brokers keep its state (producer.id.expiration.ms): the records in between are lost",
		Fix:     "look for an unclean leader election or a lost disk at that time; unclean.leader.election.enable=false, three replicas, min.insync.replicas=2"})
}

func (c *check) falls() {
	c.r.Checks("L05")
	if c.s.FallN == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "L05", Severity: finding.Error,
		What: fmt.Sprintf("the leader's epoch falls %d times along the log: parts of it come from leaders that had lost it", c.s.FallN),
		Where: some(c.s.Falls, c.s.FallN, func(b wire.EpochFall) string {
			return fmt.Sprintf("%s: leader epoch %d after %d", spot(b.At), b.To, b.From)
		}),
		Damaged: "yes: acknowledged records were cut off, and offsets given again",
		Fix:     "unclean.leader.election.enable=false, three replicas, min.insync.replicas=2"})
}

func (c *check) nullKeys() {
	c.r.Checks("K01", "K07")
	none := c.s.NullKeys + c.s.EmptyKeys
	if none == 0 {
		return
	}
	sev := finding.Error
	if none == c.s.Records {
		sev = finding.Note // a topic without keys has no order per key to lose
	}
	where := []string{"the oldest in the sample: " + spot(c.s.NullFirst)}
	for _, w := range c.writers {
		if w.NullKeys+w.EmptyKeys > 0 && len(where) <= shown {
			where = append(where, fmt.Sprintf("%s: %d null, %d empty of %d records", producer(w.ID), w.NullKeys, w.EmptyKeys, w.Records))
		}
	}
	c.r.Add(finding.Finding{Rule: "K01", Severity: sev,
		What: fmt.Sprintf("%d of %d records have no key (%d null, %d empty): clients spread them over the partitions, in no order",
			none, c.s.Records, c.s.NullKeys, c.s.EmptyKeys),
		Where: where, Damaged: "order among these records is not kept by anything", Fix: "give every record the key of what it belongs to"})
	for _, w := range c.writers {
		in := w.NullKeysIn()
		if len(in) == 1 && w.NullKeys >= 100 && len(w.Fingerprint.Fits) > 0 && w.Fingerprint.Fits[0].Hash.Name == "crc32" && len(w.Partitions) > 1 {
			c.r.Add(finding.Finding{Rule: "K07", Severity: finding.Warn,
				What:  fmt.Sprintf("all %d null keys of %s went to partition %d: librdkafka's partitioner \"consistent\" puts them on one", w.NullKeys, producer(w.ID), in[0]),
				Where: []string{partitioner(w)}, Fix: "partitioner=consistent_random, or better murmur2_random, and keys"})
		}
	}
}

func (c *check) splits() {
	c.r.Checks("K02")
	all := c.s.Splits()
	if len(all) == 0 {
		return
	}
	c.r.Add(finding.Finding{Rule: "K02", Severity: finding.Error,
		What:    fmt.Sprintf("%d of %d keys in the sample are in more than one partition: the order of their records is void", len(all), c.s.Keys()),
		Where:   some(all, int64(len(all)), func(s wire.Split) string { return c.proof(s) }),
		Damaged: "yes: records of one key in two partitions are read in any order",
		Fix:     "find the writers by what put the key there; give all of them the same partitioner (murmur2) and never add partitions to a topic with keys"})
}

// proof is where a key was found, and what explains each place.
func (c *check) proof(s wire.Split) string {
	var places []string
	for _, o := range s.At {
		by := "no known hash"
		if c.few(o.ProducerID) {
			by = "its writer has too few keys to tell"
		}
		if fit := c.fitOf(o, s.Key); fit != nil {
			by = hashName(*fit)
			if fit.Partitions != c.s.Partitions {
				by += fmt.Sprintf(" among %d partitions", fit.Partitions)
			}
		}
		places = append(places, spot(o)+" ("+by+")")
	}
	return fmt.Sprintf("key %q: %s", s.Key, strings.Join(places, "; "))
}

// few says that a writer's keys are too few for a fingerprint.
func (c *check) few(id int64) bool {
	return slices.ContainsFunc(c.writers, func(w *wire.Writer) bool { return w.ID == id && w.Fingerprint.Few })
}

// fitOf is the hash of its writer that put a key there.
func (c *check) fitOf(o wire.Spot, key string) *wire.Fit {
	i := slices.IndexFunc(c.writers, func(w *wire.Writer) bool { return w.ID == o.ProducerID })
	if i < 0 {
		return nil
	}
	for _, fit := range c.writers[i].Fingerprint.Fits {
		if slices.Contains(fit.Places, wire.Place{Key: key, Partition: o.Partition}) {
			return &fit
		}
	}
	return nil
}

// unused finds writers that do not look at keys.
func (c *check) unused() {
	c.r.Checks("K05")
	for _, w := range c.writers {
		if w.Fingerprint.Few || len(w.Fingerprint.Fits) > 0 {
			continue
		}
		spread := map[string]int{}
		again := 0
		for _, p := range w.Fingerprint.Others {
			if spread[p.Key]++; spread[p.Key] == 2 {
				again++
			}
		}
		if again*2 >= len(spread) && again >= 5 {
			c.r.Add(finding.Finding{Rule: "K05", Severity: finding.Error,
				What:  fmt.Sprintf("%s puts the same key into several partitions (%d of %d keys), and no hash explains where: its partitioner does not look at keys", producer(w.ID), again, len(spread)),
				Where: []string{"since " + spot(w.First)}})
		}
	}
}

func (c *check) hashes() {
	if c.s.Partitions < 2 {
		c.r.Cannot("the topic has one partition", "K03", "K04", "K06")
		return
	}
	var kinds []kind
	before := map[int32][]string{}
	told, few := 0, 0
	add := func(fp wire.Fingerprint, who string) {
		if fp.Few {
			few++
			return
		}
		told++
		for _, fit := range fp.Fits {
			line := fmt.Sprintf("%s: %s among %d partitions explains %d of %d keys", who, hashName(fit), fit.Partitions, len(fit.Places), fp.Places)
			kinds = join(kinds, append([]string{fit.Hash.Name}, fit.Same...), line)
			if fit.Partitions != c.s.Partitions {
				before[fit.Partitions] = append(before[fit.Partitions], line)
			}
		}
	}
	for _, w := range c.writers {
		if w.Fingerprint.Places > 0 {
			add(w.Fingerprint, producer(w.ID))
		}
	}
	if few > 0 {
		// Many writers with few keys each may still show their hash together.
		add(c.s.AllPlaces(), "all writers together")
	}
	if told == 0 {
		c.r.Cannot("the sample has too few keys for a fingerprint", "K03", "K04", "K06")
		return
	}
	c.r.Checks("K03", "K04", "K06")
	if len(kinds) > 1 {
		var names, where []string
		for _, k := range kinds {
			names = append(names, strings.Join(k.names, " or "))
			where = append(where, some(k.where, int64(len(k.where)), func(s string) string { return s })...)
		}
		c.r.Add(finding.Finding{Rule: "K03", Severity: finding.Error,
			What:    "keys are placed by different hashes: " + strings.Join(names, ", ") + "; the same key of two writers goes to two partitions",
			Where:   where,
			Damaged: "yes, for every key that writers of both kinds have written (K02 shows those in the sample)",
			Fix:     "one hash for all writers, best murmur2: librdkafka partitioner=murmur2_random, Sarama a murmur2 partitioner, kafka-go Murmur2Balancer. A writer that changes moves its keys: change while nothing of them waits to be read"})
	}
	for _, k := range kinds {
		if k.names[0] == "kafkajs-legacy" {
			c.r.Add(finding.Finding{Rule: "K06", Severity: finding.Error,
				What:  "a writer uses the partitioner of KafkaJS 1, whose murmur2 is like no other client's",
				Where: k.where, Fix: "Partitioners.DefaultPartitioner of KafkaJS 2, at a time when nothing of its keys waits to be read"})
		}
	}
	var counts []int32
	for n := range before {
		counts = append(counts, n)
	}
	slices.SortFunc(counts, func(a, b int32) int { return cmp.Compare(b, a) })
	for _, n := range counts {
		c.r.Add(finding.Finding{Rule: "K04", Severity: finding.Error,
			What:    fmt.Sprintf("keys stand where a hash puts them among %d partitions, and the topic has %d: partitions were added, or a writer has an old count", n, c.s.Partitions),
			Where:   some(before[n], int64(len(before[n])), func(s string) string { return s }),
			Damaged: "yes, for keys that were written before and after: their older records stand in another partition than the newer ones",
			Fix:     "a new topic with the new count, filled when the old one has been read to its end"})
	}
}

// A kind is a hash, or several that nothing in the sample tells apart.
type kind struct {
	names, where []string
}

// join adds a fit to the kind that it may be one with: a writer of few keys may fit
// two hashes that the keys of another one tell apart.
func join(kinds []kind, names []string, line string) []kind {
	for i, k := range kinds {
		both := slices.DeleteFunc(slices.Clone(k.names), func(n string) bool { return !slices.Contains(names, n) })
		if len(both) > 0 {
			kinds[i] = kind{both, append(k.where, line)}
			return kinds
		}
	}
	return append(kinds, kind{names, []string{line}})
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
