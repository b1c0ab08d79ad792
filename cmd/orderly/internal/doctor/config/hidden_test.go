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
