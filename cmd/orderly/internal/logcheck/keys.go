package logcheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/wire"
)

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
		Where: where, Damage: "order among these records is not kept by anything", Fix: "give every record the key of what it belongs to"})
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
		What:   fmt.Sprintf("%d of %d keys in the sample are in more than one partition: the order of their records is void", len(all), c.s.Keys()),
		Where:  some(all, int64(len(all)), func(s wire.Split) string { return c.proof(s) }),
		Damage: "yes: records of one key in two partitions are read in any order",
		Fix:    "find the writers by what put the key there; give all of them the same partitioner (murmur2) and never add partitions to a topic with keys"})
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
			What:   "keys are placed by different hashes: " + strings.Join(names, ", ") + "; the same key of two writers goes to two partitions",
			Where:  where,
			Damage: "yes, for every key that writers of both kinds have written (K02 shows those in the sample)",
			Fix:    "one hash for all writers, best murmur2: librdkafka partitioner=murmur2_random, Sarama a murmur2 partitioner, kafka-go Murmur2Balancer. A writer that changes moves its keys: change while nothing of them waits to be read"})
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
			What:   fmt.Sprintf("keys stand where a hash puts them among %d partitions, and the topic has %d: partitions were added, or a writer has an old count", n, c.s.Partitions),
			Where:  some(before[n], int64(len(before[n])), func(s string) string { return s }),
			Damage: "yes, for keys that were written before and after: their older records stand in another partition than the newer ones",
			Fix:    "a new topic with the new count, filled when the old one has been read to its end"})
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
