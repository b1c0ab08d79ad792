package config_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/diagnosis"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

func read(t *testing.T, o config.Options) *facts.Set {
	t.Helper()
	set, err := config.Read(o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func skipped(set *facts.Set) string {
	var b strings.Builder
	for _, s := range set.Skipped {
		b.WriteString(filepath.Base(s.File) + ": " + s.Why + "\n")
	}
	return b.String()
}

const good = "bootstrap.servers=kafka:9092\nkey.serializer=s\nacks=1\n"

// A file that cannot be read is named with the reason, and the rest goes on.
func TestBadFilesAreNamed(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ",") + "]\n"
	}
	for _, c := range []struct {
		name, text, want string
	}{
		{"binary-kafka.properties", "kafka\x00\x01", "a binary file"},
		{"huge.properties", "acks=1\n" + strings.Repeat("#", 1<<20), "configurations have 1048576 at the most"},
		{"empty.properties", " \n\n", "it is empty"},
		{"half.json", `{"name": "kafka", "config": {"connector.class": "x"`, "half written"},
		{"broken-kafka.json", "{\n\"kafka\" 1}", "not valid JSON at line 2"},
		{"half.yml", "kafka:\n  producer: {acks: 1\n", "not valid YAML"},
		{"latin1.yml", "kafka: {producer: {acks: 1, client.id: \"\xe9\"}}\n", "neither UTF-8 nor UTF-16"},
		{"deep.yml", "kafka: " + strings.Repeat("[", 5000), "brackets or lists 5000 deep"},
		{"deep.json", `{"kafka":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "too deep"},
		{"bomb-kafka.yml", bomb, "more than 20000 values"},
		{"half.go", "package main\nimport \"github.com/twmb/franz-go/pkg/kgo\"\nfunc main() {", "not valid Go"},
		{"escape-kafka.properties", "acks=1\nx=\\u12\n", "a line that is no .properties"},
		{"nothing.properties", "server.port=8080\n", "nothing of Kafka"},
	} {
		dir := write(t, map[string]string{c.name: c.text, "good.properties": good})
		set := read(t, config.Options{Paths: []string{filepath.Join(dir, c.name), filepath.Join(dir, "good.properties")}})
		if got := skipped(set); !strings.Contains(got, c.name+": ") || !strings.Contains(got, c.want) {
			t.Errorf("%s: skipped %q, want %q", c.name, got, c.want)
		}
		if !slices.ContainsFunc(set.Units, func(u *facts.Unit) bool { return strings.HasSuffix(u.File, "good.properties") }) {
			t.Errorf("%s: the file beside it was not read", c.name)
		}
	}
}

// UTF-16, Latin-1 and byte order marks are read where it is clear what they are.
func TestEncodings(t *testing.T) {
	utf16 := []byte{0xff, 0xfe}
	for _, c := range []byte(good) {
		utf16 = append(utf16, c, 0)
	}
	for name, text := range map[string]string{"utf16": string(utf16), "bom": "\ufeff" + good, "latin1": good + "client.id=\xe9\n", "crlf": strings.ReplaceAll(good, "\n", "\r\n")} {
		dir := write(t, map[string]string{"producer.properties": text})
		set := read(t, config.Options{Paths: []string{dir}})
		if len(set.Units) != 1 || set.Units[0].Set["acks"].Text != "1" || set.Units[0].Set["acks"].Line != 3 {
			t.Errorf("%s: %+v %s", name, set.Units, skipped(set))
		}
	}
}

func TestArgumentsThatAreNotThere(t *testing.T) {
	if _, err := config.Read(config.Options{Paths: []string{"/nowhere/at/all"}}); err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Error(err)
	}
	if _, err := config.Read(config.Options{Version: "new"}); err == nil || !strings.Contains(err.Error(), "not a version") {
		t.Error(err)
	}
}

// No value of a secret is printed, in whatever form it is written.
func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = "Hunter2Hunter2"
	files := map[string]string{
		"producer.properties": good + "sasl.jaas.config=x username=\"u\" password=\"" + secret + "\";\nssl.keystore.password=" + secret + "\n" + secret + "\nacks.=" + secret + "\ntransactional.id=" + secret + "\n",
		"application.yml":     "spring.kafka:\n  producer:\n    acks: 1\n    pasword: " + secret + "\n    " + secret + ": x\n    properties: {sasl.password: " + secret + ", acks: '" + secret + "!'}\n",
		"docker-compose.yml":  "services:\n  k:\n    image: u:" + secret + "@r/cp-kafka:7.6.0\n    environment:\n      KAFKA_BROKER_ID: 1\n      KAFKA_SSL_KEYSTORE_PASWORD: " + secret + "\n",
		"app.py":              "from confluent_kafka import Producer\np = Producer({'bootstrap.servers': 'k:1', 'sasl.password': '" + secret + "', '" + secret + "': 1})\n",
		"main.go":             "package main\nimport \"github.com/confluentinc/confluent-kafka-go/v2/kafka\"\nvar p, _ = kafka.NewProducer(&kafka.ConfigMap{\"bootstrap.servers\": \"k:1\", \"sasl.password\": \"" + secret + "\"})\n",
		"c.json":              `{"name":"` + "c" + `","config":{"connector.class":"` + secret + `","database.password":"` + secret + `","producer.override.acks":"` + secret + `!"}}`,
		".env":                "KAFKA_PRODUCER_ACKS=1\nKAFKA_PRODUCER_SASL_PASSWORD=" + secret + "\n",
		"broken-kafka.yml":    "kafka: \"" + secret + "\n  x: [\n",
		"broken-kafka.json":   `{"kafka": ` + secret + `}`,
	}
	dir := write(t, files)
	r := diagnosis.Of(read(t, config.Options{Paths: []string{dir}}))
	var text bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), string(raw)} {
		if i := strings.Index(out, secret); i >= 0 {
			t.Errorf("a secret is printed: ...%s...", out[max(0, i-120):min(len(out), i+60)])
		}
	}
	if len(r.Units) < 6 {
		t.Errorf("%d units: the files were not read", len(r.Units))
	}
}

// What names a thing in a file cannot write to the terminal what it likes.
func TestNamesWithControlCharacters(t *testing.T) {
	dir := write(t, map[string]string{
		"docker-compose.yml": "services:\n  \"\\e[31mred\": {image: 'apache/kafka:3.9.0', environment: {KAFKA_NODE_ID: 1, KAFKA_MIN_INSYNC_REPLICAS: \"1\\e[2J\", KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE: \"true\"}}\n",
		"application.yml":    "spring.config.activate.on-profile: \"\\e[31mred\"\nspring.kafka.producer.acks: 1\n",
	})
	var text bytes.Buffer
	if err := diagnosis.Of(read(t, config.Options{Paths: []string{dir}})).Text(&text); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "\x1b") || !strings.Contains(text.String(), "a name that is not shown") {
		t.Errorf("%q", text.String())
	}
}

// The effective value and its origin: the file and line, or whose default.
func TestEffectiveValues(t *testing.T) {
	dir := write(t, map[string]string{
		"pom.xml":                            `<project><parent><artifactId>spring-boot-starter-parent</artifactId><version>2.6.1</version></parent><dependencies><dependency><artifactId>spring-kafka</artifactId></dependency></dependencies></project>`,
		"src/main/resources/application.yml": "spring:\n  kafka:\n    producer:\n      acks: \"1\"\n---\nspring:\n  config.activate.on-profile: prod\n  kafka.producer.acks: all\n",
	})
	r := diagnosis.Of(read(t, config.Options{Paths: []string{dir}}))
	type line struct{ unit, name, value, origin, when string }
	var got []line
	for _, u := range r.Units {
		for _, s := range u.Effective {
			if s.Name == "acks" || s.Name == "enable.idempotence" || s.Name == "retries" {
				got = append(got, line{u.Kind + " " + u.Name, s.Name, s.Value, filepath.Base(s.Origin), s.When})
			}
		}
	}
	want := []line{
		{"producer ", "acks", "1", "application.yml:4", ""},
		{"producer ", "enable.idempotence", "false", "default", "kafka-clients 3.0.0"},
		{"producer ", "enable.idempotence", "false", "silently off: acks is 1", "kafka-clients 3.0.2"},
		{"producer ", "retries", "2147483647", "default", ""},
		{"producer profile prod", "acks", "all", "application.yml:8", ""},
		{"producer profile prod", "enable.idempotence", "false", "default", "kafka-clients 3.0.0"},
		{"producer profile prod", "enable.idempotence", "true", "default", "kafka-clients 3.0.2"},
		{"producer profile prod", "retries", "2147483647", "default", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
}

// All the forms in which acks=1 is written are read, with the line where it stands.
func TestForms(t *testing.T) {
	for _, c := range []struct {
		file, text string
		line       int
		client     facts.Client
	}{
		{"p.properties", "bootstrap.servers=k:1\nkey.serializer=\\\n  s\nacks=1", 4, facts.Java},
		{"p.properties", "metadata.broker.list=k:1\nrequest.required.acks=1", 2, facts.Librdkafka},
		{"kafka.yml", "kafka:\n  producer:\n    acks: 1", 3, facts.Unknown},
		{"app.yml", "app:\n  kafka:\n    producers:\n      orders:\n        properties:\n          acks: 1", 6, facts.Unknown},
		{"application.properties", "mp.messaging.outgoing.orders.acks=1", 1, facts.Unknown},
		{"application.properties", "spring.kafka.producer.properties[acks]=1", 1, facts.Java},
		{"application.yml", "spring:\n  kafka:\n    producer:\n      properties:\n        '[acks]': 1", 5, facts.Java},
		{"application.yml", "spring.cloud.stream.kafka.bindings.out-0.producer.configuration.acks: 1", 1, facts.Java},
		{"application.yml", "spring.cloud.stream.binders.k.environment.spring.cloud.stream.kafka.binder.requiredAcks: 1", 1, facts.Java},
		{"rd.json", "{\n\"bootstrap.servers\": \"k:1\",\n\"acks\": 1, \"queue.buffering.max.ms\": 1}", 3, facts.Librdkafka},
		{"app.py", "from confluent_kafka import Producer\nconf = {\n 'bootstrap.servers': 'k:1',\n 'acks': os.environ.get('ACKS', '1'),\n}\nProducer(conf)", 4, facts.Librdkafka},
		{"app.py", "from kafka import KafkaProducer\np = KafkaProducer(\n    acks=1)", 3, facts.KafkaPython},
		{"app.py", "from aiokafka import AIOKafkaProducer\np = AIOKafkaProducer(acks=1)", 2, facts.AIOKafka},
		{"run.sh", "export SPRING_KAFKA_PRODUCER_ACKS=1", 1, facts.Java},
		{"run.sh", "docker run \\\n  -e SPRING_KAFKA_PRODUCER_ACKS=1 \\\n  app", 2, facts.Java},
		{"run.sh", "kafka-console-producer --bootstrap-server k:1 --producer-property acks=1 --topic t", 1, facts.Java},
		{"Dockerfile", "FROM app\nENV SPRING_KAFKA_PRODUCER_ACKS=1", 2, facts.Java},
		{"cm.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  _example.properties: |\n    bootstrap.servers=k:1\n    key.serializer=s\n    acks=0\n  producer.properties: |\n    bootstrap.servers=k:1\n    key.serializer=s\n    acks=1\n", 11, facts.Java},
		{"values.yaml", "app:\n  env:\n    - name: SPRING_KAFKA_PRODUCER_ACKS\n      value: \"1\"", 4, facts.Java},
		{"main.go", "package a\nimport k \"github.com/IBM/sarama\"\nfunc f() {\n c := k.NewConfig()\n c.Producer.RequiredAcks = k.WaitForLocal\n}", 5, facts.Sarama},
		{"main.go", "package a\nimport \"github.com/twmb/franz-go/pkg/kgo\"\nfunc f() {\n kgo.NewClient(\n kgo.RequiredAcks(kgo.LeaderAck()))\n}", 5, facts.FranzGo},
		{"main.go", "package a\nimport \"github.com/segmentio/kafka-go\"\nvar w = kafka.Writer{\n RequiredAcks: kafka.RequireOne}", 4, facts.KafkaGo},
		{"main.go", "package a\nimport \"github.com/confluentinc/confluent-kafka-go/v2/kafka\"\nvar m = kafka.ConfigMap{\"bootstrap.servers\": \"k:1\",\n \"acks\": 1}", 4, facts.Librdkafka},
		{"a.js", "const { Kafka } = require('kafkajs')\nconst p = new Kafka({}).producer()\np.send({\n acks: 1, messages: [] })", 4, facts.KafkaJS},
		{"A.java", "import org.apache.kafka.clients.producer.*;\nclass A { void f() {\n props.put(\"bootstrap.servers\", s);\n props.put(\"acks\", \"1\"); } }", 4, facts.Java},
		{"A.kt", "import org.apache.kafka.clients.producer.*\nfun f() {\n props[ProducerConfig.ACKS_CONFIG] = \"1\"\n}", 3, facts.Java},
	} {
		dir := write(t, map[string]string{c.file: c.text})
		set := read(t, config.Options{Paths: []string{dir}})
		var got []facts.Value
		for _, u := range set.Units {
			if v, ok := u.Set["acks"]; ok && u.Kind == facts.Producer {
				got = append(got, v)
				if u.Client != c.client {
					t.Errorf("%s: client %q, want %q\n%s", c.file, u.Client, c.client, c.text)
				}
			}
		}
		if len(got) != 1 || got[0].Text != "1" || got[0].Line != c.line {
			t.Errorf("%s: %+v, want acks = 1 at line %d (units %d, %s)\n%s", c.file, got, c.line, len(set.Units), skipped(set), c.text)
		}
	}
}

// Standard input has no name: its form is told from the content.
func TestStandardInput(t *testing.T) {
	for _, text := range []string{
		good, "spring:\n  kafka:\n    producer:\n      acks: 1\n", `{"bootstrap.servers": "k:1", "acks": 1, "linger.ms": 4}`,
		"export SPRING_KAFKA_PRODUCER_ACKS=1\n", "from kafka import KafkaProducer\nKafkaProducer(acks=1)\n",
		"import org.apache.kafka.clients.producer.*;\nclass A { void f() { p.put(ProducerConfig.ACKS_CONFIG, \"1\"); } }",
		"package a\nimport \"github.com/segmentio/kafka-go\"\nvar w = kafka.Writer{RequiredAcks: kafka.RequireOne}\n",
		"const { Kafka } = require('kafkajs')\nnew Kafka({}).producer({acks: 1})\n",
		"apiVersion: v1\nkind: ConfigMap\ndata:\n  producer.properties: |\n    bootstrap.servers=k:1\n    key.serializer=s\n    acks=1\n",
	} {
		set := read(t, config.Options{Paths: []string{"-"}, In: strings.NewReader(text)})
		if len(set.Units) != 1 || set.Units[0].Set["acks"].Text != "1" {
			t.Errorf("%d units of\n%s\n%s", len(set.Units), text, skipped(set))
		}
	}
}

// Programs and configurations of other things give nothing.
func TestNothingOfKafka(t *testing.T) {
	dir := write(t, map[string]string{
		"application.yml":    "server.port: 8080\nhttp:\n  client:\n    retries: 3\n    acks: 1\n",
		"app.properties":     "retries=3\nport=8080\nhost.name=x\n",
		"docker-compose.yml": "services:\n  db: {image: postgres, environment: {POSTGRES_PASSWORD: x, RETRIES: 3}}\n",
		"main.go":            "package main\nfunc main() { acks := 1 }\n",
		"x.py":               "conf = {'retries': 3, 'acks': 1}\n",
		"x.json":             `{"acks": 1, "retries": 0}`,
	})
	set := read(t, config.Options{Paths: []string{dir}})
	for _, u := range set.Units {
		t.Errorf("%s %s: %v", u.Kind, u.Place, u.Set)
	}
	if r := diagnosis.Of(set); r.Verdict != "nothing" {
		t.Errorf("verdict %s", r.Verdict)
	}
}

// The worst that a file may be takes little time: the limits are on what is done, not
// only on what is read.
func TestWorstFiles(t *testing.T) {
	many := func(f func(i int) string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()[:min(b.Len(), 1<<20)]
	}
	files := map[string]string{
		"a.properties": "bootstrap.servers=k\nkey.serializer=s\nacks=1\n" + many(func(i int) string { return "enabel.idempotenc" + strings.Repeat("e", i%7) + "=${x}\n" }, 19_000),
		"b.properties": many(func(i int) string {
			return "kafka.p" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + ".acks=1\n"
		}, 19_000),
		"c.java": "kafka" + strings.Repeat("p.put(", 170_000),
		"d.py":   "from kafka import x\n" + strings.Repeat("Producer(KafkaProducer(a=", 40_000),
		"e.js":   "kafkajs " + strings.Repeat(".producer({a:", 80_000),
		"f.java": "kafka " + strings.Repeat("if (e != null) {", 65_000),
		"g.go":   "package a\nimport \"github.com/segmentio/kafka-go\"\nfunc f() { for x := range c.Messages() {\n" + strings.Repeat("if err != nil { log.Print() }\n", 30_000) + "}}",
		"h.yml":  "kafka:\n" + many(func(i int) string { return "  k" + strings.Repeat("y", i%30) + ": {a: [1,2]}\n" }, 20_000),
		"k.py":   "from confluent_kafka import Producer\n" + strings.Repeat("a = {'acks': 1}\na['b'] = 2\nProducer(a)\n", 8_000),
		"l.py":   "from kafka import x\n" + strings.Repeat("a = dict(b=1)\nKafkaProducer(**a, **b)\n", 20_000),
		"m.js":   "kafkajs " + strings.Repeat("k.producer(o);f(o,", 50_000),
		"n.go":   "package a\nimport \"github.com/twmb/franz-go/pkg/kgo\"\nfunc f() { a := []kgo.Opt{b}\nb := []kgo.Opt{a}\n" + strings.Repeat("kgo.NewClient(append(a, b...)...)\n", 20_000) + "}",
		"i.sh":   "docker run kafka " + strings.Repeat("-e A=b ", 100_000),
		"j.json": `{"kafka":[` + strings.TrimSuffix(strings.Repeat("1,", 400_000), ",") + "]}",
	}
	for name, text := range files {
		dir := write(t, map[string]string{name: text})
		begin := time.Now()
		diagnosis.Of(read(t, config.Options{Paths: []string{dir}}))
		t.Logf("%s: %s", name, time.Since(begin)) // a second or so; without the limits it does not end
	}
}
