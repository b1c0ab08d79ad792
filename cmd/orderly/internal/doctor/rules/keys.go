package rules

import (
	"regexp"
	"strings"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

var (
	logged     = []facts.Source{facts.Log}
	splitting  = "Yes, for each key that is in two partitions: read the topic and look for one."
	ownClasses = regexp.MustCompile(`^(org\.apache\.kafka|io\.confluent)\.`)
)

// Which partition a key belongs to.
var keys = []Rule{
	{
		ID: "K01", Title: "Records without a key on an ordered topic", Severity: Error, Needs: logged, Versions: "all",
		Cause: "The key is null or empty.", Diagnosis: "Read a sample of the topic and count records without a key.",
		Fix: "Set a key that names what has to stay in order: the account, the order. orderly's Producer refuses null and empty keys.",
		Why: "Records without a key are spread over the partitions, and between partitions there is no order. Empty keys are placed by some clients by hash and by others at random.", WhenNot: "The topic has one partition.",
		Source: "KIP-480; librdkafka #4510", Damage: "Yes, if these records belong together.", Prove: "orderly prove scenario null-keys",
	},
	{
		ID: "K02", Title: "One key in two partitions", Severity: Error, Needs: logged, Versions: "all",
		Cause: "Two writers place the key differently, or the number of partitions was changed.", Diagnosis: "Read the topic: a key that appears in two partitions. The producer ids there tell the writers.",
		Fix: "Find the writer, give all of them the same partitioner, and move to a new topic behind a drained old one.",
		Why: "Between partitions there is no order: that of this key is gone.", WhenNot: "The key does not name a sequence.",
		Source: "Kafka's partitions", Damage: splitting, Prove: "orderly prove scenario partition-growth",
	},
	{
		ID: "K03", Title: "Writers with different hash functions on one topic", Severity: Error, Needs: []facts.Source{facts.Log, facts.Config}, Versions: "all",
		Cause: "Java, franz-go, KafkaJS 2 and Python use murmur2; librdkafka crc32; Sarama FNV-1a; kafka-go what its Balancer says.", Diagnosis: "List the clients of all writers and their partitioners; twenty keys are enough to tell the hash from the partitions.",
		Fix: "Give all of them murmur2: librdkafka partitioner=murmur2_random, Sarama NewMurmur2Partitioner, kafka-go Murmur2Balancer.",
		Why: "With 12 partitions murmur2 and crc32 disagree for 92 % of the keys.", WhenNot: "The writers write different keys.",
		Source: "measured with 100,000 keys", Damage: splitting, Prove: "write the same keys with two clients",
		set: hashes,
	},
	{
		ID: "K04", Title: "Partitions were added to a topic with keys", Severity: Error, Needs: []facts.Source{facts.Log, facts.Cluster}, Versions: "all",
		Cause: "The partition of a key is its hash modulo the number of partitions.", Diagnosis: "Old records fit the old number of partitions, new ones the new.",
		Fix: "Do not add partitions: make a new topic with more, let readers finish the old one, then move. orderly's Producer keeps keys on as many partitions as its configuration says.",
		Why: "Doubling moves half of the keys to another partition; readers there may be ahead of those of the old one.", WhenNot: "The topic was empty and read to its end, or has no keys.",
		Source: "Apache Kafka, documentation of adding partitions", Damage: "Yes, for keys with records on both sides of the change that were read at the same time.", Prove: "orderly prove scenario partition-growth",
	},
	{
		ID: "K05", Title: "A partitioner that ignores keys", Severity: Error, Needs: cfg, Kinds: []facts.Kind{facts.Producer, facts.Worker, facts.Connector}, Versions: "partitioner.ignore.keys from 3.3 on; random and round robin partitioners of all clients",
		Cause:     "partitioner.ignore.keys=true, RoundRobinPartitioner, UniformStickyPartitioner, partitioner=random, Sarama's Random or RoundRobin, a sticky one for all records.",
		Diagnosis: "Look at the partitioner's settings.",
		Fix:       "Use the default, which goes by the key: {partitioner=murmur2_random}.",
		Why:       "The records of a key are spread over the partitions, and between partitions there is no order.",
		WhenNot:   "The records have no keys, or no order.",
		Source:    "Apache Kafka, ProducerConfig; librdkafka, CONFIGURATION.md", Damage: splitting, Prove: "write 12 records of one key, and see their partitions", Yields: []string{"P10"},
		unit: func(v facts.View, say say) {
			if v.Explicit("partitioner.ignore.keys", "true") {
				say([]string{"partitioner.ignore.keys"}, "keys are ignored")
			}
			for _, name := range []string{"partitioner.class", "partitioner"} {
				val, ok := v.Get(name)
				t := strings.ToLower(val.Text)
				if ok && !val.Elsewhere && (strings.Contains(t, "roundrobin") || strings.HasSuffix(t, "uniformstickypartitioner") || strings.HasSuffix(t, "leastbytes") ||
					t == "random" || strings.Contains(t, "randompartitioner") || strings.HasSuffix(t, "leastbackuppartitioner") || t == "stickypartitioner") {
					say([]string{name}, "keys are ignored")
				}
			}
		},
	},
	{
		ID: "K06", Title: "KafkaJS 1, or its LegacyPartitioner", Severity: Error, Needs: cfgVer, Kinds: writers, Clients: []facts.Client{facts.KafkaJS}, Versions: "KafkaJS 1.x; LegacyPartitioner of 2.x",
		Cause: "Its murmur2 differs from Java's.", Diagnosis: "Look at the version in package.json, and at createPartitioner.",
		Fix: "Use KafkaJS 2 with Partitioners.DefaultPartitioner, and change over at a boundary: a new topic, or keys that are drained.",
		Why: "The same key goes to another partition than that of Java, or of KafkaJS 2.", WhenNot: "All writers of the topic use the same one, and will.",
		Source: "KafkaJS, migration to 2.0", Damage: "Yes, if another client writes the same keys.", Prove: "write the same keys with two clients",
		unit: func(v facts.View, say say) {
			t := v.Text("partitioner.class")
			if strings.Contains(t, "LegacyPartitioner") {
				say([]string{"partitioner.class"}, "the same key goes to another partition than with other clients")
			} else if v.Ver.Before("2.0") && len(v.Versions) > 0 && !strings.Contains(t, "JavaCompatible") {
				say(nil, "the default of version 1 places keys as no other client does")
			}
		},
	},
	{
		ID: "K07", Title: "librdkafka's partitioner=consistent and records without keys", Severity: Warn, Needs: cfg, Kinds: writers, Clients: []facts.Client{facts.Librdkafka}, Versions: "librdkafka",
		Cause: "consistent, murmur2 and fnv1a place all records without a key in one partition.", Diagnosis: "Look at partitioner, and whether records without keys are written.",
		Fix: "Use the form with _random: {partitioner=murmur2_random}.",
		Why: "One partition gets all of them: its lag delays the keys that live there.", WhenNot: "All records have keys.",
		Source: "librdkafka, CONFIGURATION.md", Damage: "No: a hot partition only.",
		unit: func(v facts.View, say say) {
			if t := v.Text("partitioner"); t == "consistent" || t == "murmur2" || t == "fnv1a" {
				say([]string{"partitioner"}, "all records without a key go to one partition")
			}
		},
	},
	{
		ID: "K08", Title: "Keys that are never the same twice", Severity: Warn, Needs: code, Marks: []string{"unique-key"}, Versions: "all",
		Cause: "The key is a time, a random id or an index.", Diagnosis: "Look at what is given as the key when records are written.",
		Fix: "Take the id of what has to stay in order: the account, the order, the device.",
		Why: "Each record is a key of its own: nothing is kept in order, however well everything else is set.", WhenNot: "The records are independent events.",
		Source: "found in real programs", Damage: "Yes, if these records belong together.",
	},
	{
		ID: "K09", Title: "A partitioner of one's own", Severity: Warn, Needs: []facts.Source{facts.Config, facts.Code}, Kinds: writers, Marks: []string{"own-hash"}, Versions: "all",
		Cause: "partitioner.class is an own class, or the partition is computed from hashCode or another hash.", Diagnosis: "Look at what it does with negative hashes, with the number of partitions and with null keys, and whether every writer has it.",
		Fix: "Use the default (murmur2), or make sure that each writer of the topic, in each language and tool, has the same one.",
		Why: "Whoever writes the topic with another client (a repair tool, a connector) puts the same key elsewhere.", WhenNot: "There is one writer for good, and its number of partitions never changes.",
		Source: "found in real programs", Damage: splitting,
		unit: func(v facts.View, say say) {
			val, ok := v.Get("partitioner.class")
			if ok && !val.Elsewhere && v.Client == facts.Java && strings.Contains(val.Text, ".") && !ownClasses.MatchString(val.Text) {
				say([]string{"partitioner.class"}, "a class that other writers may not have")
			}
			if ok && (v.Client == facts.KafkaJS || v.Client == facts.KafkaPython || v.Client == facts.AIOKafka) && val.Elsewhere {
				say([]string{"partitioner.class"}, "a function that other writers may not have")
			}
		},
	},
}

// hashOf is the family of hash functions by which a producer places keys; "" when
// it is not known.
func hashOf(v facts.View) string {
	t := strings.ToLower(v.Text("partitioner.class"))
	switch v.Client {
	case facts.Java, facts.FranzGo, facts.KafkaPython, facts.AIOKafka:
		if _, own := v.Get("partitioner.class"); own {
			return ""
		}
		return "murmur2"
	case facts.Librdkafka:
		switch p := v.Text("partitioner"); {
		case strings.HasPrefix(p, "murmur2"):
			return "murmur2"
		case strings.HasPrefix(p, "consistent"):
			return "crc32"
		case strings.HasPrefix(p, "fnv1a"):
			return "FNV-1a"
		}
	case facts.Sarama:
		switch {
		case strings.Contains(t, "murmur2"):
			return "murmur2"
		case t == "newhashpartitioner" || t == "newreferencehashpartitioner":
			return "FNV-1a"
		}
	case facts.KafkaGo:
		switch {
		case strings.Contains(t, "murmur2"):
			return "murmur2"
		case strings.Contains(t, "crc32"):
			return "crc32"
		case t == "hash" || t == "referencehash":
			return "FNV-1a"
		}
	case facts.KafkaJS:
		if !v.Ver.Before("2.0") && len(v.Versions) > 0 && t == "" {
			return "murmur2"
		}
	}
	return ""
}

// hashes compares the producers that are surely known. Whether they write the same
// topic is only known where both name it.
func hashes(s *facts.Set, say sayAt) {
	first := map[string]*facts.Unit{} // by topic
	hash := map[string]string{}
	for _, u := range s.Units {
		if u.Kind != facts.Producer || u.Client == facts.Unknown {
			continue
		}
		v := u.Views()[len(u.Views())-1]
		h, topic := hashOf(v), v.Text("topic")
		switch {
		case h == "" || topic == "" || v.Open("topic"):
		case first[topic] == nil:
			first[topic], hash[topic] = u, h
		case hash[topic] != h:
			say([]facts.Place{first[topic].Place, u.Place}, "one places the keys of a topic by %s, the other by %s", hash[topic], h)
		}
	}
}
