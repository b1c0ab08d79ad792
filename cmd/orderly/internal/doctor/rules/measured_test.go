package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orderly-go/orderly/cmd/orderly/internal/doctor/facts"
)

// What the doctor says of one request in flight is what docs/prove-clients.md has
// measured of that client and version, as gravely as that is.
func TestOneInFlightByClient(t *testing.T) {
	for _, c := range []struct {
		client            facts.Client
		version, settings string
		want              []string // rule, severity, and a part of what it says
	}{
		// librdkafka reorders what was refused, with any number in flight.
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=1", []string{"P06 error passed by later ones"}},
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=1 enable.idempotence=false", []string{"P06 error passed by later ones"}},
		{facts.Librdkafka, "2.16.0", "", []string{"P06 error not idempotent by default"}},
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=5 enable.idempotence=false", []string{"P01 error behind a later one"}},
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=? enable.idempotence=false", []string{"P06 error any number of requests"}},
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=1 retries=0", nil},
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=1 enable.idempotence=?", nil},
		{facts.Librdkafka, "2.16.0", "max.in.flight.requests.per.connection=1 enable.idempotence=true", []string{"P18 note ", "P25 note "}},
		// The Java client and franz-go do not.
		{facts.Java, "4.3.1", "max.in.flight.requests.per.connection=1 enable.idempotence=false", []string{"P17 warn order is kept, but"}},
		{facts.FranzGo, "1.22.2", "max.in.flight.requests.per.connection=1 enable.idempotence=false franz.data.loss=set", []string{"P17 warn order is kept, but"}},
		// Of what was not measured nothing is said of the order.
		{facts.AIOKafka, "0.12.0", "acks=all", []string{"P17 warn what is sent again"}},
		{facts.KafkaPython, "2.3.0", "acks=all max.in.flight.requests.per.connection=1 enable.idempotence=false", []string{"P17 warn what is sent again"}},
		{facts.Sarama, "1.30.0", "acks=all max.in.flight.requests.per.connection=1", []string{"P17 warn what is sent again"}},
		// Sarama, by its version.
		{facts.Sarama, "1.47.0", "acks=all max.in.flight.requests.per.connection=1", []string{"P09 error pipelines"}},
		{facts.Sarama, "1.50.2", "acks=all max.in.flight.requests.per.connection=1", []string{"P09 error after a connection error"}},
		{facts.Sarama, "1.50.3", "acks=all max.in.flight.requests.per.connection=1", []string{"P09 error after a connection error"}},
		{facts.Sarama, "1.60.0", "acks=all max.in.flight.requests.per.connection=1", []string{"P09 warn none was seen out of order"}},
		{facts.Sarama, "1.61.1", "acks=all", []string{"P09 warn none was seen out of order"}},
		{facts.Sarama, "1.61.1", "acks=all enable.idempotence=true max.in.flight.requests.per.connection=1", nil},
		{facts.Sarama, "1.50.3", "acks=all retries=0", nil},
	} {
		u := facts.NewUnit(facts.Producer, c.client, facts.Place{Name: "test"})
		for _, s := range strings.Fields(c.settings) {
			name, text, _ := strings.Cut(s, "=")
			u.Set[name] = facts.Value{Text: text, Written: name, Elsewhere: text == "?"}
		}
		ver, _ := facts.ParseVer(c.version)
		u.Versions = []facts.Ver{ver}
		var got []string
		found := Run(&facts.Set{Units: []*facts.Unit{u}}).Findings
		for _, f := range found {
			got = append(got, fmt.Sprintf("%s %s %s", f.Rule.ID, f.Severity, f.What))
		}
		if !slices.EqualFunc(got, c.want, func(g, w string) bool { // "P06 error " and a part of the rest
			id, rest, _ := strings.Cut(w, " ")
			grave, part, _ := strings.Cut(rest, " ")
			return strings.HasPrefix(g, id+" "+grave+" ") && strings.Contains(g, part)
		}) {
			t.Errorf("%s %s %q: %q, want %q", c.client, c.version, c.settings, got, c.want)
		}
		if kept := strings.Contains(fmt.Sprint(got), "order is kept"); kept && c.client != facts.Java && c.client != facts.FranzGo {
			t.Errorf("%s %s %q: %q, and that was not measured", c.client, c.version, c.settings, got)
		}
	}
}

// Where the client is not known both answers are given, each for its own client.
func TestOneInFlightOfAnUnknownClient(t *testing.T) {
	u := facts.NewUnit(facts.Producer, facts.Unknown, facts.Place{Name: "test"})
	u.Set[inFlight] = facts.Value{Text: "1", Written: inFlight}
	u.Set[idem] = facts.Value{Text: "false", Written: idem}
	u.Set["retries"] = facts.Value{Text: "5", Written: "retries"}
	u.Set["acks"] = facts.Value{Text: "all", Written: "acks"}
	var got []string
	for _, f := range Run(&facts.Set{Units: []*facts.Unit{u}}).Findings {
		got = append(got, fmt.Sprintf("%s %s %s", f.Rule.ID, f.Severity, f.When))
	}
	want := []string{"P06 warn [librdkafka]", "P17 warn [kafka-clients]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// No text says again what was measured to be wrong.
func TestTextsOfOneInFlight(t *testing.T) {
	for _, id := range []string{"P06", "P09", "P17"} {
		text := Find(id).Text("")
		if !strings.Contains(text, "docs/prove-clients.md") || !strings.Contains(text, "Apache Kafka 4.3.1") {
			t.Errorf("%s does not say what was measured, and where:\n%s", id, text)
		}
		if strings.Contains(text, "1.50.3 and later") || strings.Contains(text, "max.in.flight is 1: then there are duplicates only") {
			t.Errorf("%s says what is not so:\n%s", id, text)
		}
	}
}
