//go:build synctests

package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orderly-go/orderly/internal/history"
	"github.com/orderly-go/orderly/internal/parked"
	"github.com/orderly-go/orderly/internal/parking"
	"github.com/orderly-go/orderly/internal/progress"
	"github.com/twmb/franz-go/pkg/kadm"
)

// What somebody may do to a parking topic in which records are parked.
const (
	vandalNone     = ""
	vandalDelete   = "deleted"
	vandalRecreate = "created again"
	vandalShorten  = "shortened"
)

// vandalize harms the parking topic while records are parked. The partitions that the
// harm concerns wait by name, and nothing of them is handled or committed. Then the
// operator says what becomes of what was parked: it is given up.
func (w *run) vandalize() {
	kind := w.failures.vandal
	if kind == vandalNone || w.c.TopicInfo(parkingTopic) == nil {
		return
	}
	// What no commit says of the topic nobody misses: an owner that was killed before its
	// next commit may have left that.
	w.until("all partitions to have an owner", 30*time.Minute, w.allOwned)
	time.Sleep(10 * time.Second) // a commit of what was parked last
	harmed := w.wouldMiss(kind)
	w.log.Info("step", "do", "the parking topic is "+kind, "harmed", fmt.Sprint(harmed))
	switch kind {
	case vandalDelete, vandalRecreate:
		if err := w.c.DeleteTopic(parkingTopic); err != nil {
			w.t.Errorf("deleting the parking topic: %v", err)
		}
		if kind == vandalRecreate {
			w.mu.Lock()
			n := int32(len(w.ends))
			w.mu.Unlock()
			_ = w.c.CreateTopic(parkingTopic, n, nil) // a member may have done so meanwhile
		}
	case vandalShorten:
		w.shorten(harmed)
		// Owners have read what is gone, and know it; who comes then does not.
		w.noneAlive()
		w.again()
		w.again()
	}
	w.ledger.count("the parking topic was " + kind)
	if len(harmed) > 0 {
		w.ledger.count("the parking topic was harmed")
	}
	w.waitByName(harmed)
	w.giveUpParked()
}

// allOwned reports whether each partition has an owner.
func (w *run) allOwned() bool {
	owned := make(map[int32]bool)
	for _, m := range w.all() {
		if m.running() && !m.isKilled() {
			for _, p := range m.c.State().Partitions {
				owned[p.Partition] = owned[p.Partition] || p.FencingToken > 0
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(owned) == len(w.ends) && !slices.Contains(slices.Collect(maps.Values(owned)), false)
}

// wouldMiss are the partitions whose commits say that something is needed of the topic.
func (w *run) wouldMiss(kind string) (harmed []int32) {
	w.mu.Lock()
	n := int32(len(w.ends))
	w.mu.Unlock()
	for p := range n {
		st, ok := w.h.committed(topicName, p)
		if !ok {
			continue
		}
		g, err := parking.GuardOf(st.meta.Extra)
		if err != nil {
			w.t.Errorf("partition %d: its commit: %v", p, err)
		}
		if g != nil && g.Holds && g.TopicID == parking.TopicID(w.c.TopicInfo(parkingTopic).TopicID) {
			harmed = append(harmed, p)
		}
	}
	return harmed
}

// shorten deletes all of the topic's partitions that are harmed by it.
func (w *run) shorten(harmed []int32) {
	ends, err := w.adm.ListEndOffsets(context.Background(), parkingTopic)
	var to kadm.Offsets
	for _, p := range harmed {
		e, _ := ends.Lookup(parkingTopic, p)
		to.AddOffset(parkingTopic, p, e.Offset, -1)
	}
	if err == nil {
		_, err = w.adm.DeleteRecords(context.Background(), to)
	}
	if err != nil {
		w.t.Errorf("shortening the parking topic: %v", err)
	}
}

// waitByName waits until all these partitions say that their parking topic is not what
// it has to be, and sees to it that nothing of them happens.
func (w *run) waitByName(harmed []int32) {
	named := func() bool {
		names := make(map[int32]bool)
		for _, m := range w.all() {
			if m.running() && !m.isKilled() {
				for _, p := range m.c.State().Partitions {
					names[p.Partition] = names[p.Partition] || slices.Contains(p.Reasons, parked.StateMismatch)
				}
			}
		}
		return !slices.ContainsFunc(harmed, func(p int32) bool { return !names[p] })
	}
	for until := time.Now().Add(10 * time.Minute); !named(); time.Sleep(time.Second) {
		if time.Now().After(until) {
			w.t.Errorf("10m after it was harmed, not all of partitions %v wait by name for the parking topic", harmed)
			for _, m := range w.all() {
				if m.running() {
					w.t.Logf("%s: %+v", m.name, m.c.State())
				}
			}
			return
		}
	}
	before := len(w.h.events())
	time.Sleep(time.Minute)
	for _, e := range w.h.events()[before:] {
		if e.Kind == history.Start && slices.Contains(harmed, e.Partition) {
			w.t.Errorf("offset %d of partition %d began although its parking topic is another one: %+v", e.Offset, e.Partition, e)
			return
		}
	}
}

// giveUpParked is what an operator does then: with the group empty, the topic goes, and
// so does what the commits say of it. All that the commits name as settled counts as done;
// what only the parking topic had as done comes again.
func (w *run) giveUpParked() {
	w.noneAlive()
	_ = w.c.DeleteTopic(parkingTopic)
	w.commitByHand(func(st stored) string {
		meta := st.meta
		meta.Extra = nil
		text, _, err := progress.Encode(st.offset, meta, 4096)
		if err != nil {
			w.t.Errorf("metadata without a parking topic: %v", err)
		}
		return text
	})
	settled := func(r record) bool {
		st, ok := w.h.committed(r.topic, r.partition)
		return ok && (r.offset < st.offset || slices.ContainsFunc(st.meta.Ahead, func(x progress.Run) bool { return x.From <= r.offset && r.offset < x.To }))
	}
	done := make(map[record]bool)
	var log []record
	for _, e := range w.h.events() {
		r := record{place{e.Topic, e.Partition}, e.Offset}
		if e.Kind == history.Done && e.Why == resolved && !settled(r) {
			w.forgotten[r] = e.At
		}
		switch {
		case e.Kind == history.Done || e.Kind == history.End && e.OK && !e.Cancelled:
			done[r] = true
		case e.Kind == history.Log:
			log = append(log, r)
		}
	}
	for _, r := range log {
		if !done[r] && settled(r) {
			w.h.add(history.Event{Kind: history.Done, Member: "the operator", Topic: r.topic, Partition: r.partition, Offset: r.offset, Why: "given up with the parking topic"})
		}
	}
	w.again()
	w.again()
}

// noneAlive ends all members, and lets nobody come in their place.
func (w *run) noneAlive() {
	w.lock.Lock()
	w.revived = revivals
	w.lock.Unlock()
	for _, m := range w.all() {
		m.end()
		<-m.done
	}
	w.until("the group is empty", time.Hour, func() bool { return len(w.c.GroupInfo(groupName).Members) == 0 })
}
