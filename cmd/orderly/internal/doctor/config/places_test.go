package config_test

import (
	"path/filepath"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/config"
	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/rules"
)

// What holds without a profile is in application.yml, whatever other files are there;
// what a profile does not change is said once.
func TestPlacesOfProfiles(t *testing.T) {
	dir := write(t, map[string]string{
		"application-docker.yml": "spring.kafka.bootstrap-servers: broker:9092\n",
		"application.yml":        "server.port: 1\nspring.kafka:\n  bootstrap-servers: a:1\n  consumer:\n    group-id: g\n",
	})
	set := read(t, config.Options{Paths: []string{dir}, Version: "3.8.1"})
	if len(set.Units) != 2 {
		t.Fatalf("%d units: %+v", len(set.Units), set.Units)
	}
	for _, u := range set.Units {
		if filepath.Base(u.File) != "application.yml" || u.Line != 3 {
			t.Errorf("%s %q is at %s", u.Kind, u.Name, u.Place)
		}
	}
	said := map[string]int{}
	for _, f := range rules.Run(set).Findings {
		said[f.Rule.ID]++
	}
	if said["C06"] != 1 || said["C01"] != 1 {
		t.Errorf("said %v, want each once", said)
	}
}

// Debezium's image names a broker's node without a prefix: it stays one broker.
func TestOneUnitOfABroker(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services:\n  kafka:\n    image: example/kafka:3.9.0\n    environment:\n      - NODE_ID=1\n      - KAFKA_ADVERTISED_LISTENERS=a://b:1\n"})
	if set := read(t, config.Options{Paths: []string{dir}}); len(set.Units) != 1 {
		t.Errorf("%d units: %+v", len(set.Units), set.Units)
	}
}
