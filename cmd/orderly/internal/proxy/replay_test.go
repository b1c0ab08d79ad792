package proxy

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// struckRecords are all records that the hits were for, in an order of their own.
// Each was struck as often as its fault says.
func struckRecords(t *testing.T, hits []Hit) []string {
	t.Helper()
	set := make(map[string]int)
	times := 1
	for _, h := range hits {
		for _, target := range h.Targets() {
			text, err := json.Marshal(target)
			if err != nil {
				t.Fatal(err)
			}
			set[string(text)]++
			times = h.Fault.Times
		}
	}
	for text, n := range set {
		if n != times {
			t.Errorf("%s was struck %d times, want %d", text, n, times)
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Ten replays of one seed strike the same records: also those of a producer with
// another configuration, which is the control. Another seed strikes others.
func TestReplays(t *testing.T) {
	const fault = "lost-ack:share=1/100"
	run := func(seed uint64, identify Identify, opts []kgo.Opt) []string {
		f, err := ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		c := startCluster(t, 3)
		p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{f}, Seed: seed, Identify: identify})
		write(t, p.Addr(), 3000, opts...)
		return struckRecords(t, p.all())
	}
	var first []string
	for i := range 10 {
		opts := safe
		if i%2 == 1 {
			opts = inflight(5, kgo.AllISRAcks())
		}
		got := run(11, byValue, opts)
		if i == 0 {
			first = got
		}
		if len(got) < 15 || !slices.Equal(got, first) {
			t.Fatalf("replay %d struck\n%s\nand the first\n%s", i, strings.Join(got, "\n"), strings.Join(first, "\n"))
		}
	}
	if other := run(12, byValue, safe); slices.Equal(other, first) {
		t.Error("another seed struck the same records")
	}

	// A topic of another name is struck at the same records when it is called the
	// same.
	f, err := ParseFault(fault + ",topic=subject")
	if err != nil {
		t.Fatal(err)
	}
	var called [][]string
	for _, as := range []map[string]string{{testTopic: "subject"}, {"other": "subject"}, {testTopic: "different"}} {
		c := startCluster(t, 1, kfake.SeedTopics(testParts, "other"))
		p := startProxy(t, c.ListenAddrs(), Config{Faults: []Fault{f}, Seed: 11, Identify: byValue, As: as})
		topic := testTopic
		if as["other"] != "" {
			topic = "other"
		}
		write(t, p.Addr(), 3000, append(safe[:len(safe):len(safe)], kgo.DefaultProduceTopic(topic))...)
		called = append(called, struckRecords(t, p.all()))
	}
	if len(called[0]) < 15 || !slices.Equal(called[0], called[1]) || len(called[2]) != 0 {
		t.Errorf("as one topic: %v\n%v\nas another: %v", called[0], called[1], called[2])
	}

	// Without numbers in the records: by their place in the writer's sequence.
	first = run(11, nil, safe)
	for i := range 9 {
		if got := run(11, nil, safe); len(got) < 15 || !slices.Equal(got, first) {
			t.Fatalf("replay %d by sequence struck\n%s\nand the first\n%s", i, strings.Join(got, "\n"), strings.Join(first, "\n"))
		}
	}
}

// The schedule that was used, given back, strikes the same records with the same
// faults, without a seed.
func TestScheduleGivenBack(t *testing.T) {
	for _, identify := range []Identify{byValue, nil} {
		var faults []Fault
		for _, text := range []string{"lost-ack:share=1/300", "refuse:error=19,share=1/300,topic=orders", "error-after-append:share=1/300,times=2"} {
			f, err := ParseFault(text)
			if err != nil {
				t.Fatal(err)
			}
			faults = append(faults, f)
		}
		byKind := func(hits []Hit) map[Kind][]string {
			out := make(map[Kind][]string)
			for _, f := range faults {
				out[f.Kind] = struckRecords(t, slices.DeleteFunc(slices.Clone(hits), func(h Hit) bool { return h.Fault.Kind != f.Kind }))
			}
			return out
		}
		c := startCluster(t, 3)
		p := startProxy(t, c.ListenAddrs(), Config{Faults: faults, Seed: 3, Identify: identify})
		write(t, p.Addr(), 3000, safe...)
		want := byKind(p.all())
		var file bytes.Buffer
		for _, h := range p.all() {
			if h.Answer == nil && h.Fault.Kind != Refuse {
				t.Errorf("no answer: %+v", h)
			}
			if err := WriteHit(&file, &h); err != nil {
				t.Fatal(err)
			}
		}
		schedule, err := ReadSchedule(&file)
		if err != nil {
			t.Fatal(err)
		}
		if len(schedule) != len(faults) {
			t.Errorf("%d faults in the schedule, want %d: %+v", len(schedule), len(faults), schedule)
		}
		c = startCluster(t, 3)
		p = startProxy(t, c.ListenAddrs(), Config{Faults: schedule, Seed: 99, Identify: identify})
		write(t, p.Addr(), 3000, safe...)
		got := byKind(p.all())
		for kind, records := range want {
			if len(records) < 3 || !slices.Equal(records, got[kind]) {
				t.Errorf("%s struck\n%s\nand before\n%s", kind, strings.Join(got[kind], "\n"), strings.Join(records, "\n"))
			}
		}
	}
}

func TestScheduleRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"fault":{"kind":"lost-ack"}}`:                       "line 1 of the schedule: fault lost-ack: it needs share=",
		"\n" + `{"fault":{"kind":"lost"}}`:                    "line 2 of the schedule: fault lost: there is no such kind",
		`{"fault":{"kind":"lost-ack","share":0.1},"nod":1}`:   `unknown field "nod"`,
		`{"fault":{"kind":"refuse","share":0.1,"error":999}}`: "Kafka has no error 999",
		`not json`: "line 1 of the schedule",
	} {
		if _, err := ReadSchedule(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestParseFault(t *testing.T) {
	for text, want := range map[string]string{
		"lost-ack":                      "it needs share=",
		"lost-ack:share=2":              "above 0 and at most 1",
		"lost-ack:share":                "settings are name=value",
		"lost-ack:share=x":              "a share is as",
		"lost-ack:often=1":              "there is no such setting",
		"lost-ack:share=1%,error=6":     "error=6 has no meaning",
		"lost-ack:share=1%,after=1":     "after counts batches",
		"lost-ack:share=1%,for=1s":      "for is for delay",
		"lost-ack:share=1%,group=g":     "group and skip choose requests",
		"delay:share=1%":                "it needs for=",
		"refuse:share=1%,error=NO_SUCH": "no error of Kafka's",
		"refuse:api=Produce,share=1%":   "api has no meaning",
		"cut:api=Nothing":               "no request",
		"cut:api=Produce":               "chosen by their records",
		"drop-heartbeat:share=1%":       "by count",
		"drop-heartbeat:api=Fetch":      "Heartbeat or ConsumerGroupHeartbeat",
		"coordinator-error:api=Fetch":   "it cannot answer Fetch",
		"hold:share=1%,times=-1":        "cannot be negative",
		"explode:share=1%":              "there are lost-ack, silent-ack",
	} {
		if _, err := ParseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	f, err := ParseFault("refuse:error=NOT_ENOUGH_REPLICAS,share=2%,times=3,topic=t,client=c")
	if err != nil || f.Error != 19 || f.Share != 0.02 || f.Times != 3 || f.Topic != "t" || f.Client != "c" {
		t.Errorf("%+v, %v", f, err)
	}
}
