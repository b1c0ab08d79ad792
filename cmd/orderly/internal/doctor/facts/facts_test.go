package facts

import (
	"strings"
	"testing"
)

// What becomes of idempotence, by client, version and settings.
func TestIdempotent(t *testing.T) {
	for _, c := range []struct {
		client   Client
		version  string
		settings string
		on       bool
		silent   string
		refuse   string
		unsure   bool
	}{
		{Java, "2.8.0", "", false, "", "", false},
		{Java, "3.0.0", "", false, "", "", false},
		{Java, "3.0.1", "", true, "", "", false},
		{Java, "3.1.0", "", false, "", "", false},
		{Java, "3.1.1", "", true, "", "", false},
		{Java, "3.9.0", "acks=1", false, "acks is 1", "", false},
		{Java, "3.9.0", "acks=-1", true, "", "", false},
		{Java, "3.9.0", "retries=0", false, "retries is 0", "", false},
		{Java, "3.9.0", "max.in.flight.requests.per.connection=6", false, "more than 5 requests are in flight", "", false},
		{Java, "4.0.0", "max.in.flight.requests.per.connection=6", true, "", "more than 5 requests in flight", false},
		{Java, "4.0.0", "max.in.flight.requests.per.connection=6 enable.idempotence=false", false, "", "", false},
		{Java, "3.9.0", "acks=1 enable.idempotence=true", true, "", "acks is 1 where all is needed", false},
		{Java, "2.8.0", "transactional.id=a", true, "", "", false},
		{Java, "3.9.0", "acks=?", false, "", "", true},
		{Java, "3.9.0", "enable.idempotence=?", false, "", "", true},
		{Librdkafka, "2.5.0", "", false, "", "", false},
		{Librdkafka, "2.5.0", "enable.idempotence=true", true, "", "", false},
		{Librdkafka, "2.5.0", "enable.idempotence=true max.in.flight.requests.per.connection=10", true, "", "more than 5 requests in flight", false},
		{Sarama, "1.60.1", "", false, "", "", false},
		{Sarama, "1.60.1", "enable.idempotence=true acks=all", true, "", "Net.MaxOpenRequests is not 1", false},
		{Sarama, "1.60.1", "enable.idempotence=true acks=all max.in.flight.requests.per.connection=1", true, "", "", false},
		{FranzGo, "1.22.2", "", true, "", "", false},
		{FranzGo, "1.22.2", "acks=1", true, "", "acks is 1 where all is needed", false},
		{KafkaGo, "0.4.47", "enable.idempotence=true", false, "", "", false},
		{KafkaJS, "2.2.4", "", false, "", "", false},
		{AIOKafka, "0.12.0", "enable.idempotence=true acks=all", true, "", "", false},
		{KafkaPython, "2.3.0", "", false, "", "", false},
		{KafkaPython, "3.0.0", "", true, "", "", false},
	} {
		u := NewUnit(Producer, c.client, Place{})
		for _, s := range strings.Fields(c.settings) {
			name, text, _ := strings.Cut(s, "=")
			u.Set[name] = Value{Text: text, Elsewhere: text == "?"}
		}
		ver, _ := ParseVer(c.version)
		got := View{u, c.client, ver, true, ""}.Idempotent()
		if got != (Idempotence{On: c.on, Silent: c.silent, Refuse: c.refuse, Unsure: c.unsure}) {
			t.Errorf("%s %s %q: %+v", c.client, c.version, c.settings, got)
		}
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]Ver{"v1.22.2": {1, 22, 2}, "^2.2.4": {2, 2, 4}, "2.6.3.RELEASE": {2, 6, 3}, "3.1": {3, 1, 0}, "3.0.0-rc1": {3, 0, 0}, "4": {4, 0, 0}} {
		if got, ok := ParseVer(text); !ok || got != want {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "latest", "${kafka.version}", "*"} {
		if v, ok := ParseVer(text); ok {
			t.Errorf("%q is no version, got %v", text, v)
		}
	}
	v := Ver{3, 5, 2}
	if v.Before("3.5.2") || !v.Before("3.5.10") || v.Before("3.4.9") {
		t.Error("the order of versions is wrong")
	}
}

func TestNear(t *testing.T) {
	for name, want := range map[string]string{
		"unclean.leader.lection.enable": "unclean.leader.election.enable", "enable-idempotence": "enable.idempotence", "enableIdempotence": "enable.idempotence",
		"retrys.now.please": "", "heap.opts": "",
	} {
		if got := Near(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, pair := range []struct {
		a, b string
		want int
	}{{"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"abc", "xyz", 3}, {"", "a", 1}} {
		if got := distance(pair.a, pair.b, 3); got != pair.want {
			t.Errorf("distance(%q, %q) = %d, want %d", pair.a, pair.b, got, pair.want)
		}
	}
}

// The list of names is what Kafka and librdkafka say.
func TestKnownNames(t *testing.T) {
	for _, c := range []struct {
		name, whose string
		want        bool
	}{
		{"acks", "producer", true}, {"acks", "consumer", false}, {"queuing.strategy", "librdkafka", true}, {"min.insync.replicas", "broker", true},
		{"min.insync.replicas", "topic", true}, {"enable.auto.commit", "consumer", true}, {"zookeeper.connect", "broker", true}, {"acks.all", "producer", false},
	} {
		if got := KnownTo(c.name, c.whose); got != c.want {
			t.Errorf("%s is known to %s: %v", c.name, c.whose, got)
		}
	}
	if n := len(known()); n < 600 {
		t.Errorf("%d names", n)
	}
}
