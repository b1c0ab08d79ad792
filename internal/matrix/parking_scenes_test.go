//go:build unix

package matrix

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/internal/history"
	"github.com/twmb/franz-go/pkg/kadm"
)

// turn says whether it is a scene's turn: in a sample one of the three is played, which the
// seed chooses. In a soak, or without a seed, all are.
func turn(t *testing.T, scene uint64) bool {
	if os.Getenv("ORDERLY_SOAK") == "1" || os.Getenv("ORDERLY_SEED") == "" {
		return true
	}
	seed, err := strconv.ParseUint(os.Getenv("ORDERLY_SEED"), 10, 64)
	if err != nil {
		t.Fatalf("ORDERLY_SEED is a number: %v", err)
	}
	if seed%3 != scene {
		t.Logf("another scene's turn with seed %d; ORDERLY_SOAK=1 plays all", seed)
	}
	return seed%3 == scene
}

// Owners are killed while operators' words about their keys are under way: each word
// takes effect once, and is answered, also when it is said again and again.
func TestOwnerKilledDuringWords(t *testing.T) {
	if !turn(t, 0) {
		return
	}
	play(t, shortSession, func(s *scene) {
		s.create(1, 2, 3)
		s.parks(2, 3, 1)
		a, b, l := s.running()
		bad, stuck := s.parkedOf(nil, permanent, writers*2), s.stalledOf(l, nil, writers)
		dead, other := a, b
		if parts := s.h.owners(); len(of(parts, a, bad)) <= len(of(parts, b, bad)) {
			dead, other = b, a
		}
		paused, toSkip, toRetry, toPark := s.roles(dead, bad, stuck)
		before := s.now()
		words := []*word{s.word("skip", skip, toSkip, "w1"), s.word("retry", retry, toRetry, "w2"), s.pausing(false, paused, "w3")}
		for _, c := range toPark {
			words = append(words, s.word("park", park, c, "w4"))
		}
		y := s.say(words...)
		some := s.rng.IntN(len(words))
		s.until("some words are answered", func() bool { return y.answered() >= some })
		dead.kill()
		y.done()
		tries := s.starts(toRetry.Partition, toRetry.Offset, before)
		if tries < 1 || tries > 2 {
			s.t.Errorf("the record of which a retry was asked for was tried %d times; one owner was killed meanwhile", tries)
		}
		if got := s.skipped(); len(got) != 1 || !got[record{toSkip.Partition, toSkip.Offset}] {
			s.t.Errorf("skipped: %v; want offset %d of partition %d alone", got, toSkip.Offset, toSkip.Partition)
		}
		s.until("the other has all partitions", func() bool { return s.h.owned(other.name) == partitions })
		y.repeated()
		s.more(l, 50)
		at := s.now()
		c := s.start("c")
		s.shares(other, c)
		s.more(l, 100)
		if n := s.starts(toRetry.Partition, toRetry.Offset, before); n != tries {
			s.t.Errorf("the repeats of a retry tried its record %d times more", n-tries)
		}
		for _, e := range s.h.find(func(e history.Event) bool { return e.Kind == history.Start && e.Partition == paused && e.N > at }) {
			s.t.Errorf("%s began offset %d of partition %d, which is paused", e.Member, e.Offset, e.Partition)
		}

		// All is mended, and the next owner is killed while its keys are released.
		s.mend()
		release := []*word{s.pausing(true, paused, "x")}
		for _, k := range s.parkedOf(other, permanent, 1) {
			release = append(release, s.word("retry", retry, commandFor(s.topic, k), "x"+string(k.Key)))
		}
		y = s.say(release...)
		some = s.rng.IntN(len(release) + 1)
		s.until("some words are answered", func() bool { return y.answered() >= some })
		other.kill()
		y.done()
		y.repeated()
		s.more(l, 50)
		s.released()
		s.verdict()
		if got := s.skipped(); len(got) != 1 {
			s.t.Errorf("skipped: %v", got)
		}
	})
}

// of counts the keys that are parked in partitions of a member.
func of(parts map[int32]owning, p *process, keys []orderly.ParkedKey) (out []orderly.ParkedKey) {
	for _, k := range keys {
		if parts[k.Partition].member == p.name {
			out = append(out, k)
		}
	}
	return out
}

// roles finds a partition of a member that is to be paused, and in others of it a key
// that is to be skipped, one that is to be retried and, if there is one, one to be parked.
func (s *scene) roles(p *process, bad []orderly.ParkedKey, stuck []orderly.Command) (paused int32, toSkip, toRetry orderly.Command, toPark []orderly.Command) {
	s.t.Helper()
	parts := s.h.owners()
	for _, n := range s.rng.Perm(partitions) {
		if paused = int32(n); parts[paused].member != p.name {
			continue
		}
		rest := slices.DeleteFunc(of(parts, p, bad), func(k orderly.ParkedKey) bool { return k.Partition == paused })
		if len(rest) < 2 {
			continue
		}
		for _, c := range stuck {
			if c.Partition != paused && parts[c.Partition].member == p.name {
				toPark = []orderly.Command{c}
			}
		}
		return paused, commandFor(s.topic, rest[0]), commandFor(s.topic, rest[1]), toPark
	}
	s.t.Fatalf("%s has no partition to be paused beside two parked keys: %+v", p.name, bad)
	return 0, toSkip, toRetry, nil
}

// An owner with parked keys is frozen past its session, while the next one releases
// them, and wakes as a zombie: what it still writes to the parking topic is void.
func TestParkingOwnerFrozen(t *testing.T) {
	if !turn(t, 1) {
		return
	}
	play(t, shortSession, func(s *scene) {
		s.create(1, 2, 3)
		s.parks(1, 2, 3)
		a, b, l := s.running()
		s.parkedOf(a, permanent, 1)
		s.parkedOf(a, exhausted, 1)
		a.freeze()
		s.until("the other has all partitions", func() bool { return s.h.owned(b.name) == partitions })
		s.more(l, 50)
		s.mend() // the frozen one hears of it when it wakes
		for _, k := range s.parkedOf(b, permanent, 1) {
			if err := s.operator(patience, func(ctx context.Context, adm *orderly.Admin) error {
				_, err := adm.Retry(ctx, commandFor(s.topic, k))
				return err
			}); err != nil {
				s.t.Error(err)
			}
		}
		a.thaw()
		s.shares(a, b)
		s.more(l, 100)
		s.released()
		s.verdict()
	})
}

// Leaders of the parking topic's partitions move while records are parked and released.
func TestParkingLeaderMoves(t *testing.T) {
	if !turn(t, 2) {
		return
	}
	play(t, shortSession, func(s *scene) {
		s.create(1, 2, 3)
		s.parks(2, 3, 1)
		_, _, l := s.running()
		s.moveLeaders(s.parking, 3, 1, 2)
		s.more(l, 100)
		s.mend()
		s.moveLeaders(s.parking, 1, 2, 3)
		s.more(l, 100)
		s.released()
		s.undisturbed(s.verdict())
	})
}

// A broker that leads partitions of the parking topic, and others of the source topic, is
// killed while records are parked. It takes half a minute: in soaks only, since what
// becomes of the owners is TestLeaderKilledUnderLoad's.
func TestParkingLeaderKilled(t *testing.T) {
	if os.Getenv("ORDERLY_SOAK") != "1" {
		t.Log("runs with ORDERLY_SOAK=1 only")
		return
	}
	play(t, longSession, func(s *scene) {
		s.create(1, 2, 3)
		s.parks(2, 3, 1)
		a, _, l := s.running()
		of := s.parkedOf(a, exhausted, 1)[0].Partition
		dead := s.leaderOf(s.parking, of)
		s.kill(dead)
		s.until("another broker leads the parking topic's partition", func() bool { now := s.leaderOf(s.parking, of); return now != 0 && now != dead })
		s.more(l, 100)
		s.restart(dead)
		s.whole()
		s.mend()
		s.prefer(s.parking)
		s.until("the leader is the old one", func() bool { return s.leaderOf(s.parking, of) == dead })
		s.more(l, 100)
		s.released()
		s.undisturbed(s.verdict())
	})
}

// moveLeaders has these nodes lead a topic's partitions, in turn.
func (s *scene) moveLeaders(topic string, leaders ...int32) {
	s.t.Helper()
	var req kadm.AlterPartitionAssignmentsReq
	for p := range int32(partitions) {
		first := leaders[int(p)%len(leaders)]
		req.Assign(topic, p, []int32{first, first%3 + 1, (first+1)%3 + 1})
	}
	s.until("the replicas have their new order", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, err := s.adm.AlterPartitionAssignments(ctx, req)
		return err == nil && r.Error() == nil
	})
	s.prefer(topic)
	s.until("the leaders have moved", func() bool {
		for p := range int32(partitions) {
			if s.leaderOf(topic, p) != int(leaders[int(p)%len(leaders)]) {
				return false
			}
		}
		return true
	})
}

// prefer moves leaders back to where they were at first.
func (s *scene) prefer(topic string) {
	s.t.Helper()
	set := make(kadm.TopicsSet)
	for p := range int32(partitions) {
		set.Add(topic, p)
	}
	s.until("leaders move", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := s.adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
		return err == nil
	})
}
