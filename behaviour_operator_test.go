package orderly_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/orderlytest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// blocking is a group under which bad records wait in place, for long; with the parking
// topic that operators' commands need.
func blocking(t *testing.T, b *orderlytest.Broker, topic string, c *calls, change func(*orderly.ConsumerConfig)) *orderlytest.Group {
	t.Helper()
	cfg := orderly.ConsumerConfig{OnExhausted: orderly.PolicyBlock, Topics: []string{topic}, Breaker: orderly.Breaker{Disabled: true}, Handler: c.handle,
		Retry: orderly.Retry{MaxAttempts: 1, Backoff: time.Hour, MaxBackoff: time.Hour}}
	if change != nil {
		change(&cfg)
	}
	g := b.Group(cfg)
	b.CreateTopic(parkingTopic(t, g, topic), 1, "retention.ms", "-1", "retention.bytes", "-1")
	return g
}

// blockedIn waits until a key is blocked in a state.
func blockedIn(t *testing.T, b *orderlytest.Broker, m *orderlytest.Member, topic, state string) (k orderly.BlockedKey) {
	t.Helper()
	b.Eventually("a key to be blocked: "+state, func() bool {
		p, _ := stateOf(m, topic, 0)
		if len(p.Oldest) != 1 || p.Oldest[0].State != state {
			return false
		}
		k = p.Oldest[0]
		return true
	})
	return k
}

func answered(t *testing.T, ans orderly.Answer, err error, state, result string) {
	t.Helper()
	if err != nil || ans.State != state || !strings.HasPrefix(ans.Result, result) {
		t.Errorf("%+v, %v; want %s: %s", ans, err, state, result)
	}
}

// A blocked record is tried at once by word, and the answer says what came of it.
func TestRetryOfABlockedKeyByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	g := blocking(t, b, topic, c, nil)
	b.Produce(topic, keyed(3, "bad", "good")...)
	m := g.Start()
	blockedIn(t, b, m, topic, "exhausted")
	a := admin(t, b, g)
	word := orderly.Command{Topic: topic, Key: []byte("bad"), ID: "one"}
	ans, err := a.Retry(patient(t), word)
	answered(t, ans, err, "done", "failed again: "+errBusy.Error())
	c.mended.Store(true)
	again, err := a.Retry(patient(t), word) // does nothing more
	answered(t, again, err, "done", "failed again")
	if !again.At.Equal(ans.At) || len(c.of("bad")) != 0 {
		t.Errorf("%+v after %+v; handled %v", again, ans, c.of("bad"))
	}
	ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
	answered(t, ans, err, "done", "handled")
	committed(t, b, m, topic, 0, 6)
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("handled %v", got)
	}
	stopAll(t, m)
}

// A blocked record that is skipped is done for good: the rest of its key runs, and no
// later owner hands it over, though no commit has passed it.
func TestSkipOfABlockedKeyByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: func(m *orderly.Message) error {
		if v := string(m.Value); string(m.Key) == "bad" && (v == "0" || v == "2") {
			return errBusy
		}
		return nil
	}}
	var skipped seen[orderly.SkippedEvent]
	g := blocking(t, b, topic, c, func(cfg *orderly.ConsumerConfig) { cfg.Events.Skipped = skipped.add })
	b.Produce(topic, keyed(4, "bad", "good")...)
	m := g.Start()
	blockedIn(t, b, m, topic, "exhausted")
	a := admin(t, b, g)
	if _, err := a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")}); err == nil {
		t.Error("skipped without a reason")
	}
	ans, err := a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Reason: "broken"})
	answered(t, ans, err, "done", "skipped")
	b.Eventually("the next bad record to block", func() bool {
		p, _ := stateOf(m, topic, 0)
		return len(p.Oldest) == 1 && p.Oldest[0].Offset == 4
	})
	if es := skipped.get(); len(es) != 1 || es[0].Offset != 0 || es[0].Reason != "operator" || !strings.Contains(es[0].Err.Error(), "broken") || string(es[0].Key) != "bad" {
		t.Errorf("%+v", es)
	}
	committed(t, b, m, topic, 0, 4)
	ans, err = a.Skip(patient(t), orderly.Command{Topic: topic, Key: []byte("other"), Offset: 4, Reason: "x"})
	answered(t, ans, err, "refused", "")
	m.Consumer().Abort()
	if err := m.Wait(); err == nil {
		t.Error("aborted without an error")
	}
	c.mended.Store(true)
	m = g.Start()
	committed(t, b, m, topic, 0, 8)
	if got := c.of("bad"); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("handled %v", got)
	}
	stopAll(t, m)
}

// A blocked key is parked by word under a policy that does not park: the commit passes,
// its records follow, and it waits for an operator.
func TestParkOfABlockedKeyByWord(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	var events seen[orderly.ParkedEvent]
	g := blocking(t, b, topic, c, func(cfg *orderly.ConsumerConfig) {
		cfg.Events.Parked = events.add
		cfg.Parking = orderly.Parking{First: time.Millisecond, Longest: time.Millisecond}
	})
	b.Produce(topic, keyed(3, "bad", "good")...)
	m := g.Start()
	blockedIn(t, b, m, topic, "exhausted")
	a := admin(t, b, g)
	ans, err := a.Park(patient(t), orderly.Command{Topic: topic, Key: []byte("bad"), Reason: "look at it tomorrow"})
	answered(t, ans, err, "done", "its key is parked")
	committed(t, b, m, topic, 0, 6)
	parkedRecords(t, b, m, topic, 1, 3)
	if es := events.get(); len(es) != 3 || es[0].Reason != "operator" || es[0].Attempts != 1 || es[1].Reason != "" {
		t.Errorf("%+v", es)
	}
	keys, err := a.ParkedKeys(patient(t), topic)
	if err != nil || len(keys) != 1 || !keys[0].Permanent || !strings.Contains(keys[0].Cause, "tomorrow") || !strings.Contains(keys[0].Cause, errBusy.Error()) {
		t.Errorf("%+v, %v", keys, err)
	}
	recs, err := a.ParkedRecords(patient(t), topic, 0, []byte("bad"), 2)
	if err != nil || len(recs) != 2 || recs[0].Record.Offset != 0 || string(recs[1].Record.Value) != "1" || recs[0].Attempts != 1 || recs[1].Attempts != 0 {
		t.Errorf("%+v, %v", recs, err)
	}
	c.mended.Store(true)
	ans, err = a.Retry(patient(t), orderly.Command{Topic: topic, Key: []byte("bad")})
	answered(t, ans, err, "done", "released")
	if got := c.of("bad"); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("handled %v", got)
	}
	all, err := a.Commands(patient(t), topic)
	if err != nil || len(all) != 2 || all[0].Verb != "park" || all[0].State != "done" || all[0].Who != "test" || all[0].Reason == "" || all[1].Verb != "retry" || string(all[1].Key) != "bad" {
		t.Errorf("%+v, %v", all, err)
	}
	stopAll(t, m)
}

// A command that is given while nobody owns the partition waits, says so, and is done by
// the next owner when the record has failed with it.
func TestACommandWaitsForAnOwner(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{bad: badKey("bad")}
	g := blocking(t, b, topic, c, nil)
	b.Produce(topic, keyed(2, "bad", "good")...)
	m := g.Start()
	blockedIn(t, b, m, topic, "exhausted")
	stopAll(t, m)
	a := admin(t, b, g)
	skip := orderly.Command{Topic: topic, Key: []byte("bad"), Reason: "broken", ID: "s"}
	var ans orderly.Answer
	var err error
	b.Eventually("the command to be written", func() bool { // with one ID it is one command, however often
		ans, err = a.Skip(soon(t), skip)
		return ans.State == "requested"
	})
	if err == nil || ans.State != "requested" || !strings.Contains(err.Error(), "when the partition has an owner") {
		t.Errorf("%+v, %v", ans, err)
	}
	m = g.Start()
	ans, err = a.Skip(patient(t), skip)
	answered(t, ans, err, "done", "skipped")
	blockedIn(t, b, m, topic, "exhausted")
	if p, _ := stateOf(m, topic, 0); p.Oldest[0].Offset != 2 {
		t.Errorf("blocked at %d", p.Oldest[0].Offset)
	}
	stopAll(t, m)
}

// A paused partition hands nothing over, says who has paused it and why, and is still
// paused for the next owner. The first command makes the topic that it is written to.
func TestPauseOfAPartition(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 2)
	c := &calls{}
	g := b.Group(orderly.ConsumerConfig{OnExhausted: orderly.PolicyBlock, Topics: []string{topic}, Handler: c.handle, KafkaOpts: oftenLooked})
	b.Produce(topic, orderlytest.Msg("a", "0").Partition(0), orderlytest.Msg("b", "0").Partition(1))
	m := g.Start()
	committed(t, b, m, topic, 0, 1)
	committed(t, b, m, topic, 1, 1)
	a := admin(t, b, g)
	if _, err := a.Pause(patient(t), orderly.Target{Topic: topic}); err == nil {
		t.Error("paused without a reason")
	}
	answers, err := a.Pause(patient(t), orderly.Target{Topic: topic, Partitions: []int32{0}, Reason: "moving house"})
	if err != nil || len(answers) != 1 || answers[0].State != "done" || answers[0].Topic != topic {
		t.Fatalf("%+v, %v", answers, err)
	}
	isPaused := func() bool {
		p, ok := stateOf(m, topic, 0)
		return ok && slices.Equal(p.Reasons, []string{"paused"}) && strings.Contains(p.Parking.Cause, "paused by test: moving house") &&
			len(p.Parking.Pauses) == 1 && p.Parking.Pauses[0].Whole
	}
	b.Eventually("the partition to be paused", isPaused)
	b.Produce(topic, orderlytest.Msg("a", "1").Partition(0), orderlytest.Msg("b", "1").Partition(1))
	committed(t, b, m, topic, 1, 2)
	if got := c.of("a"); len(got) != 1 {
		t.Errorf("handled %v while paused", got)
	}
	stopAll(t, m)
	m = g.Start()
	b.Produce(topic, orderlytest.Msg("b", "2").Partition(1))
	committed(t, b, m, topic, 1, 3)
	b.Eventually("the partition to be paused again", isPaused)
	if got := c.of("a"); len(got) != 1 {
		t.Errorf("handled %v while paused", got)
	}
	answers, err = a.Resume(patient(t), orderly.Target{}) // of the whole group
	if err != nil || len(answers) != 2 || answers[0].State != "done" || answers[1].State != "done" {
		t.Errorf("%+v, %v", answers, err)
	}
	committed(t, b, m, topic, 0, 2)
	stopAll(t, m)
}

// A paused key waits in memory while others run, by name; then the partition's window is
// full; a record of it that was tried before waits as well. Resumed, it goes on in order.
func TestPauseOfAKey(t *testing.T) {
	t.Parallel()
	b := engine(t)
	topic := newTopic(t, b, 1)
	c := &calls{}
	g := blocking(t, b, topic, c, func(cfg *orderly.ConsumerConfig) {
		cfg.OnExhausted = orderly.PolicyPark
		cfg.Buffer.Window = 16
	})
	b.Produce(topic, keyed(1, "k", "other")...)
	m := g.Start()
	committed(t, b, m, topic, 0, 2)
	a := admin(t, b, g)
	key := orderly.Target{Topic: topic, Partitions: []int32{0}, Keyed: true, Key: []byte("k"), Reason: "ask the customer"}
	if _, err := a.Pause(patient(t), key); err != nil {
		t.Fatal(err)
	}
	b.Produce(topic, keyed(30, "k", "other")...)
	k := blockedIn(t, b, m, topic, "paused")
	if k.Offset != 2 || k.Attempts != 0 || !strings.Contains(k.Cause, "paused by test: ask the customer") {
		t.Errorf("%+v", k)
	}
	b.Eventually("the window to be full", func() bool {
		p, _ := stateOf(m, topic, 0)
		return slices.Equal(p.Reasons, []string{"window-full"}) && p.Running == 0 && len(c.of("other")) >= 5
	})
	if got := c.of("k"); len(got) != 1 {
		t.Errorf("k %v, other %v", got, c.of("other"))
	}
	if p, _ := stateOf(m, topic, 0); p.Committed != 2 || p.Parking.Records != 0 {
		t.Errorf("%+v", p)
	}
	key.Reason = ""
	if _, err := a.Resume(patient(t), key); err != nil {
		t.Fatal(err)
	}
	committed(t, b, m, topic, 0, 62)
	if got := c.of("k"); !slices.Equal(got, append([]string{"0"}, numbers(0, 30)...)) {
		t.Errorf("k %v", got)
	}
	stopAll(t, m)
}

// oftenLooked lets owners find new topics soon.
var oftenLooked = []kgo.Opt{kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(50 * time.Millisecond)}

// soon ends when a command that nobody answers has been written.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(cancel)
	return ctx
}
