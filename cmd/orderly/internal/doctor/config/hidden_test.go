package config_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/diagnosis"
)

// A client whose settings come from another file, function or argument is named; one
// whose settings stand in the file is not.
func TestClientsWhoseSettingsAreNotSeen(t *testing.T) {
	confluentGo := "package a\nimport \"github.com/confluentinc/confluent-kafka-go/v2/kafka\"\n"
	sarama := "package a\nimport \"github.com/IBM/sarama\"\n"
	kafkaGo := "package a\nimport \"github.com/segmentio/kafka-go\"\n"
	franz := "package a\nimport \"github.com/twmb/franz-go/pkg/kgo\"\n"
	java := "import org.apache.kafka.clients.producer.*;\nclass A {\n"
	for _, c := range []struct {
		file, text string
		want       []string // kind, client, line, what it is made with
	}{
		{"a.py", "from confluent_kafka import Producer\nfrom settings import conf\np = Producer(conf)\n", []string{"producer librdkafka 3 conf"}},
		{"a.py", "from confluent_kafka import Consumer\ndef run(conf):\n    return Consumer(conf)\n", []string{"consumer librdkafka 3 conf"}},
		{"a.py", "from confluent_kafka import Producer\np = Producer(load('secret'))\n", []string{"producer librdkafka 2 load(...)"}},
		{"a.py", "from confluent_kafka import Producer\np = Producer(self.settings.kafka)\n", []string{"producer librdkafka 2 self.settings.kafka"}},
		{"a.py", "from confluent_kafka import Producer\nconf = {}\nconf['acks'] = 1\np = Producer(conf)\n", []string{"producer librdkafka 4 conf"}},
		{"a.py", "from confluent_kafka import Producer\nconf = {'bootstrap.servers': 'k:1', 'acks': 1}\np = Producer(conf)\n", nil},
		{"a.py", "from confluent_kafka import Producer\nself.conf = {'bootstrap.servers': 'k:1', 'acks': 1}\np = Producer(self.conf)\n", nil},
		{"a.py", "from confluent_kafka import Producer\np = Producer({'bootstrap.servers': 'k:1'})\n", nil},
		{"a.go", confluentGo + "func f(cfg *kafka.ConfigMap) { kafka.NewProducer(cfg) }\n", []string{"producer librdkafka 3 cfg"}},
		{"a.go", confluentGo + "func f() { kafka.NewConsumer(config.Kafka(\"secret\")) }\n", []string{"consumer librdkafka 3 config.Kafka(...)"}},
		{"a.go", confluentGo + "func f() { cfg := &kafka.ConfigMap{\"acks\": 1}; kafka.NewProducer(cfg) }\n", nil},
		{"a.go", sarama + "func f(cfg *sarama.Config) { sarama.NewSyncProducer(nil, cfg) }\n", []string{"producer sarama 3 cfg"}},
		{"a.go", sarama + "func f() { sarama.NewConsumerGroup(nil, \"g\", conf()) }\n", []string{"consumer sarama 3 conf(...)"}},
		{"a.go", sarama + "func f() { cfg := sarama.NewConfig(); sarama.NewSyncProducer(nil, cfg) }\n", nil},
		{"a.go", sarama + "func f() { sarama.NewSyncProducer(nil, nil) }\n", nil},
		{"a.go", kafkaGo + "func f(c kafka.WriterConfig) { kafka.NewWriter(c) }\n", []string{"producer kafka-go 3 c"}},
		{"a.go", kafkaGo + "func f() { c := kafka.ReaderConfig{GroupID: \"g\"}; kafka.NewReader(c) }\n", nil},
		// kafka-python and aiokafka: the arguments of a call.
		{"a.py", "from kafka import KafkaProducer\ndef make(conf):\n    return KafkaProducer(**conf)\n", []string{"producer kafka-python 3 conf"}},
		{"a.py", "from kafka import KafkaConsumer\nc = KafkaConsumer('orders', **settings.load('secret'))\n", []string{"consumer kafka-python 2 settings.load(...)"}},
		{"a.py", "from aiokafka import AIOKafkaProducer\np = AIOKafkaProducer(**self.options)\n", []string{"producer aiokafka 2 self.options"}},
		{"a.py", "from kafka import KafkaProducer\nconf = {'acks': 1}\nconf['acks'] = other()\np = KafkaProducer(**conf)\n", []string{"producer kafka-python 4 conf"}},
		{"a.py", "from kafka import KafkaProducer\nconf = {'acks': 1}\ndef make(conf):\n    return KafkaProducer(**conf)\n", []string{"producer kafka-python 4 conf"}},
		{"a.py", "from kafka import KafkaProducer\nconf = {'acks': 1}\nconf = load()\np = KafkaProducer(**conf)\n", []string{"producer kafka-python 4 conf"}},
		{"a.py", "from kafka import KafkaProducer\nconf = {'acks': 1}\np = KafkaProducer(**conf)\n", nil},
		{"a.py", "from kafka import KafkaProducer\nconf = dict(acks=1)\np = KafkaProducer(**conf)\n", nil},
		{"a.py", "from kafka import KafkaProducer\np = KafkaProducer(bootstrap_servers='k:1', **more)\n", nil},
		{"a.py", "from kafka import KafkaProducer\np = KafkaProducer()\n", nil},
		{"a.py", "from confluent_kafka import Producer\np = Producer({**base()})\n", []string{"producer librdkafka 2 base(...)"}},
		{"a.py", "from confluent_kafka import Producer\np = Producer({**base, 'acks': 1})\n", nil},
		// KafkaJS, and node-rdkafka.
		{"a.js", "const { Kafka } = require('kafkajs')\nconst p = new Kafka(c).producer(options)\n", []string{"producer kafkajs 2 options"}},
		{"a.ts", "import { Kafka } from 'kafkajs'\nconst c = kafka.consumer(config.consumer('secret'))\n", []string{"consumer kafkajs 2 config.consumer(...)"}},
		{"a.js", "const { Kafka } = require('kafkajs')\nconst p = kafka.producer({ ...defaults })\n", []string{"producer kafkajs 2 defaults"}},
		{"a.js", "const { Kafka } = require('kafkajs')\nconst o = { idempotent: true }\nconst make = (o) => kafka.producer(o)\n", []string{"producer kafkajs 3 o"}},
		{"a.js", "const { Kafka } = require('kafkajs')\nconst o = { idempotent: true }\no.idempotent = f()\nkafka.producer(o)\n", []string{"producer kafkajs 4 o"}},
		{"a.js", "const { Kafka } = require('kafkajs')\nconst o = { idempotent: true }\nkafka.producer(o)\n", nil},
		{"a.ts", "import { Kafka } from 'kafkajs'\nconst o: ProducerConfig = { idempotent: true }\nkafka.producer(o)\n", nil},
		{"a.js", "const { Kafka } = require('kafkajs')\nkafka.producer()\n", nil},
		{"a.js", "const { Kafka } = require('kafkajs')\nkafka.producer({ ...defaults, idempotent: true })\n", nil},
		{"a.js", "const { Kafka } = require('kafkajs')\nconst c = new Kafka(x)\nc.producer(options)\n", []string{"producer kafkajs 3 options"}},
		{"a.js", "const { Kafka } = require('kafkajs')\nmovies.producer(name)\nmovies.producer('x')\nf.consumer(1)\nkafkaSettings.producer('orders')\n", nil},
		{"a.js", "const Kafka = require('node-rdkafka')\nconst p = new Kafka.Producer(conf.kafka)\n", []string{"producer librdkafka 2 conf.kafka"}},
		// franz-go: a client is a producer, a consumer, or both.
		{"a.go", franz + "func f(opts ...kgo.Opt) { kgo.NewClient(opts...) }\n", []string{"client franz-go 3 opts"}},
		{"a.go", franz + "func f() { kgo.NewClient(options(\"secret\")...) }\n", []string{"client franz-go 3 options(...)"}},
		{"a.go", franz + "func f(c cfg) { kgo.NewClient(append(c.opts, kgo.SeedBrokers(\"k:1\"))...) }\n", []string{"client franz-go 3 append(...)"}},
		{"a.go", franz + "func f(o []kgo.Opt) { cl, _ := kgo.NewClient(o...); cl.ProduceSync(ctx, nil) }\n", []string{"producer franz-go 3 o"}},
		{"a.go", franz + "func f(o kgo.Opt) { kgo.NewClient(kgo.ConsumeTopics(\"a\"), o) }\n", []string{"consumer franz-go 3 o"}},
		{"a.go", franz + "func f() { o := []kgo.Opt{kgo.SeedBrokers(\"k:1\")}; o = append(o, more()...); kgo.NewClient(o...) }\n", []string{"client franz-go 3 o"}},
		{"a.go", franz + "func f() { var o []kgo.Opt; o = append(o, kgo.ConsumeTopics(\"a\")); kgo.NewClient(o...) }\n", nil},
		{"a.go", franz + "func f() { kgo.NewClient(kgo.SeedBrokers(\"k:1\")) }\n", nil},
		{"a.go", franz + "func f(o []kgo.Opt) { kgo.NewClient(append(o, kgo.RequiredAcks(kgo.LeaderAck()))...) }\n", nil},
		{"A.java", java + "  A(Properties p) { producer = new KafkaProducer<String, String>(p); }\n}", []string{"producer java 3 p"}},
		{"A.java", java + "  A() { consumer = new KafkaConsumer<>(Settings.load(\"secret\")); }\n}", []string{"consumer java 3 Settings.load(...)"}},
		{"A.java", java + "  A() { p.put(\"acks\", \"1\"); p.put(\"bootstrap.servers\", \"k:1\"); producer = new KafkaProducer<>(p); }\n}", nil},
		{"A.java", java + "  B b(KafkaProperties p) { return new DefaultKafkaProducerFactory<>(p.buildProducerProperties(null)); }\n}", nil},
		{"A.kt", "import org.apache.kafka.clients.producer.KafkaProducer\nval p = KafkaProducer<String, String>(props())\n", []string{"producer java 2 props(...)"}},
	} {
		dir := write(t, map[string]string{c.file: c.text})
		set := read(t, config.Options{Paths: []string{dir}})
		var got []string
		for _, h := range set.Hidden {
			got = append(got, fmt.Sprintf("%s %s %d %s", h.Kind, h.Client, h.Line, h.Given))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q of\n%s", c.file, got, c.want, c.text)
		}
		r := diagnosis.Of(set)
		var text bytes.Buffer
		if err := r.Text(&text); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String(), "secret") {
			t.Errorf("an argument is printed: %s", text.String())
		}
		if len(c.want) == 0 {
			continue
		}
		h := set.Hidden[0]
		said := fmt.Sprintf("could not see the settings of the %s (", h.Kind)
		at := fmt.Sprintf("at %s:%d", filepath.Join(dir, c.file), h.Line)
		if !strings.Contains(text.String(), said) || !strings.Contains(text.String(), at) || len(r.Hidden) != 1 || r.Files != 1 {
			t.Errorf("%q and %q are not in\n%s", said, at, text.String())
		}
	}
}
