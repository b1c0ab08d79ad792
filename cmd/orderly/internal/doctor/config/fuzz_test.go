package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/diagnosis"
)

// fuzz gives any text to the reader of one form, and all rules what it makes of it. A
// parser that panics is a fault, although the scanner would go on.
func fuzz(f *testing.F, name string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	paths, _ := filepath.Glob("testdata/corpus/*.txt")
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range bytes.Split(raw, []byte("--- ")) {
			if file, text, ok := bytes.Cut(c, []byte("\n")); ok && filepath.Ext(string(file)) == filepath.Ext(name) {
				f.Add(text)
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := config.Read(config.Options{Paths: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range set.Skipped {
			if s.Why == "it cannot be read: the parser gave up" && name != "application.yml" {
				t.Errorf("our own parser panics: %s", s.Why)
			}
		}
		if len(set.Units) > 6000 || len(set.Marks) > 20_000 {
			t.Errorf("%d units, %d marks of %d bytes", len(set.Units), len(set.Marks), len(text))
		}
		if err := diagnosis.Of(set).Text(new(bytes.Buffer)); err != nil {
			t.Error(err)
		}
	})
}

func FuzzProperties(f *testing.F) {
	fuzz(f, "kafka.properties", "a=\\u00", "acks=${acks}\nacks:${b:${c}}")
}
func FuzzYAML(f *testing.F) {
	fuzz(f, "application.yml", "a: &a [*a]", "<<: *x", "spring.kafka: {producer: [1, {acks: 1}]}", "services: {a: {image: kafka, environment: [x]}}")
}
func FuzzJSON(f *testing.F) { fuzz(f, "kafka.json", `{"config": {"connector.class": 1}}`, `[{}]`) }
func FuzzShell(f *testing.F) {
	fuzz(f, "run.sh", "docker run -e A=1 \\\n-e B", "export KAFKA_ACKS=1;ENV")
}
func FuzzPython(f *testing.F) {
	fuzz(f, "kafka.py", "KafkaProducer(**x, a=(", "from kafka import x; os.environ.get")
}
func FuzzJavaScript(f *testing.F) {
	fuzz(f, "a.js", "kafkajs .producer({a: process.env.", "kafkajs .send({key:")
}
func FuzzJava(f *testing.F) {
	fuzz(f, "A.java", "kafka @KafkaListener", "kafka if (e != null) {", "kafka x[")
}
func FuzzGo(f *testing.F) {
	fuzz(f, "a.go", "package a\nimport \"github.com/segmentio/kafka-go\"\nvar w = kafka.Writer{1}\n", "package a\nimport . \"github.com/IBM/sarama\"\nfunc f() { x.y = NewConfig() }\n")
}
