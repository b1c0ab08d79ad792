package main

import (
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/twmb/franz-go/pkg/kgo"
)

// runFloor is a bare poll loop: a group member with the client's defaults that
// calls the same handler for each record.
func runFloor(ctx context.Context, s spec, m *meter) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(s.Brokers...),
		kgo.ConsumerGroup(s.Group),
		kgo.ConsumeTopics(s.Topic),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.WithHooks(m),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	failed := make(chan error, 1)
	go func() {
		for {
			fs := cl.PollFetches(ctx)
			if fs.IsClientClosed() {
				return
			}
			if err := fs.Err0(); err != nil {
				failed <- err
				return
			}
			fs.EachRecord(func(r *kgo.Record) { m.handled(r.Partition, 1) })
		}
	}()
	return m.wait(ctx, failed)
}

// runOurs is a Consumer with its defaults, the handler and the spec's scope and
// concurrency.
func runOurs(ctx context.Context, s spec, m *meter) error {
	cfg := orderly.ConsumerConfig{
		Brokers: s.Brokers, Group: s.Group, Topics: []string{s.Topic},
		Concurrency: s.Concurrency, OnExhausted: s.Policy,
		KafkaOpts: []kgo.Opt{kgo.WithHooks(m)},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if s.Whole {
		cfg.Scope = orderly.ScopePartition
	}
	switch {
	case s.DoneLog != "":
		log, err := openDoneLog(s.DoneLog)
		if err != nil {
			return err
		}
		cfg.Handler = log.handler(s)
		cfg.SessionTimeout = deadSession
	case s.Batch:
		cfg.Batch.Handler = func(_ context.Context, ms []*orderly.Message) (int, error) {
			m.handled(ms[0].Partition, int64(len(ms)))
			return len(ms), nil
		}
	case s.Sleep > 0:
		cfg.Handler = func(_ context.Context, msg *orderly.Message) error {
			m.sleep()
			m.handled(msg.Partition, 1)
			return nil
		}
	default:
		cfg.Handler = func(_ context.Context, msg *orderly.Message) error {
			m.handled(msg.Partition, 1)
			return nil
		}
	}
	cfg, watch, err := s.Machinery.apply(cfg)
	if err != nil {
		return err
	}
	c, err := orderly.NewConsumer(cfg)
	if err != nil {
		return err
	}
	if err := watch(c); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := m.wait(ctx, ended); err != nil {
		stop()
		return err
	}
	stop()
	return <-ended
}

// runSleepers is what no queue can beat: goroutines that do nothing but sleep.
func runSleepers(s spec, m *meter) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	n := s.records()
	for range s.Concurrency {
		wg.Go(func() {
			for next.Add(1) <= n {
				m.sleep()
			}
		})
	}
	wg.Wait()
	return nil
}

// deadSession is how long the group waits for a member that was killed.
const deadSession = 6 * time.Second

// A doneLog tells, also after a kill, which records were handled and when.
type doneLog struct{ f *os.File }

// A handledRecord is one entry of a doneLog.
type handledRecord struct {
	Partition int32
	Offset    int64
	At        time.Time
}

const entrySize = 8 + 8 + 4

func openDoneLog(path string) (doneLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return doneLog{f}, err
}

func (l doneLog) handler(s spec) orderly.Handler {
	return func(ctx context.Context, m *orderly.Message) error {
		if s.Stick && m.Offset == 0 && m.Partition == 0 {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		time.Sleep(s.Sleep)
		var e [entrySize]byte
		binary.LittleEndian.PutUint64(e[0:], uint64(m.Offset))
		binary.LittleEndian.PutUint64(e[8:], uint64(time.Now().UnixNano()))
		binary.LittleEndian.PutUint32(e[16:], uint32(m.Partition))
		_, err := l.f.Write(e[:]) // one call, at the end of the file: entries do not mix
		return err
	}
}

func readDoneLog(path string) (rs []handledRecord, err error) {
	b, err := os.ReadFile(path)
	for ; len(b) >= entrySize; b = b[entrySize:] {
		rs = append(rs, handledRecord{
			Offset:    int64(binary.LittleEndian.Uint64(b)),
			At:        time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:]))),
			Partition: int32(binary.LittleEndian.Uint32(b[16:])),
		})
	}
	return rs, err
}
