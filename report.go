package orderly

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/group"
)

// reporter turns what happens into events and log lines.
type reporter struct {
	cfg      *ConsumerConfig
	lines    *logLimit
	problems *seldom
	member   *atomic.Pointer[string] // last known
}

func newReporter(cfg *ConsumerConfig) reporter {
	r := reporter{cfg: cfg, lines: new(logLimit), problems: new(seldom), member: new(atomic.Pointer[string])}
	r.member.Store(new(string))
	return r
}

// log writes a line. Those that name trouble are limited per text: trouble that
// thousands of records share is told some times, and then counted.
func (r reporter) log(level slog.Level, msg string, args ...any) {
	ctx := context.Background()
	if !r.cfg.Logger.Enabled(ctx, level) {
		return
	}
	all := append([]any{"group", r.cfg.Group, "member", *r.member.Load()}, args...)
	if level >= slog.LevelWarn {
		ok, suppressed := r.lines.allow(msg, time.Now())
		if !ok {
			return
		}
		if suppressed > 0 {
			all = append(all, "suppressed", suppressed)
		}
	}
	r.cfg.Logger.Log(ctx, level, "orderly: "+msg, all...)
}

// record writes a line about a record.
func (r reporter) record(level slog.Level, msg string, m *Message, args ...any) {
	about := []any{"topic", m.Topic, "partition", m.Partition, "offset", m.Offset}
	if name, key, ok := r.cfg.LogKeys.attr(m.Key); ok {
		about = append(about, name, key)
	}
	r.log(level, msg, append(about, args...)...)
}

func (r reporter) hooks() group.Hooks {
	ev := &r.cfg.Events
	return group.Hooks{
		Assigned: func(a group.Assigned) {
			r.log(slog.LevelInfo, "partition assigned", "topic", a.Topic, "partition", a.Partition, "token", a.Token,
				"offset", a.Offset, "done_ahead", a.DoneAhead, "clean", a.Clean, "regranted", a.Regranted)
			if ev.Assigned != nil {
				ev.Assigned(AssignedEvent{Topic: a.Topic, Partition: a.Partition, FencingToken: a.Token, Offset: a.Offset,
					DoneAhead: a.DoneAhead, Clean: a.Clean, Regranted: a.Regranted})
			}
		},
		Revoked: func(v group.Revoked) {
			level, msg := slog.LevelInfo, "partition released"
			if !v.Clean {
				level, msg = slog.LevelWarn, "partition released with handlers that did not return before the drain deadline; their records come again"
			}
			r.log(level, msg, "topic", v.Topic, "partition", v.Partition, "token", v.Token, "offset", v.Offset,
				"drain", v.Drain.Round(time.Millisecond), "committed", v.Committed)
			if ev.Revoked != nil {
				ev.Revoked(RevokedEvent{Topic: v.Topic, Partition: v.Partition, FencingToken: v.Token, Drain: v.Drain,
					Clean: v.Clean, Committed: v.Committed, Offset: v.Offset, Again: v.Again})
			}
		},
		Lost: func(l group.Lost) {
			r.log(slog.LevelWarn, "partition lost; nothing of it is committed any more", "topic", l.Topic, "partition", l.Partition,
				"token", l.Token, "running", l.Running)
			if ev.Lost != nil {
				ev.Lost(LostEvent{Topic: l.Topic, Partition: l.Partition, FencingToken: l.Token, Running: l.Running, Again: l.Again})
			}
		},
		Stuck: func(st group.Stuck) {
			m := st.Item.Payload.(*Message)
			r.record(slog.LevelError, "a handler has not returned although its context has ended; its key stays closed in this process", m,
				"age", st.Age.Round(time.Millisecond), "owned", st.Owned)
			if ev.Stuck != nil {
				ev.Stuck(StuckEvent{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Age: st.Age, Owned: st.Owned})
			}
		},
		Paused: func(topic string, partition int32, reasons []string) {
			r.log(slog.LevelInfo, "partition waits", "topic", topic, "partition", partition, "reasons", strings.Join(reasons, ","))
			if ev.Paused != nil {
				ev.Paused(PausedEvent{Topic: topic, Partition: partition, Reasons: reasons})
			}
		},
		Resumed: func(topic string, partition int32, reasons []string) {
			r.log(slog.LevelInfo, "partition goes on", "topic", topic, "partition", partition, "reasons", strings.Join(reasons, ","))
			if ev.Resumed != nil {
				ev.Resumed(PausedEvent{Topic: topic, Partition: partition, Reasons: reasons})
			}
		},
		Committed: func(c group.Committed) {
			if c.Err != nil {
				r.log(slog.LevelWarn, "offset commit not accepted", "topic", c.Topic, "partition", c.Partition, "token", c.Token,
					"offset", c.Offset, "unknown", c.Unknown, "error", c.Err)
			}
			if ev.Committed != nil {
				ev.Committed(CommittedEvent{Topic: c.Topic, Partition: c.Partition, FencingToken: c.Token, Offset: c.Offset,
					DoneAhead: c.DoneAhead, NotRecorded: c.NotRecorded, Err: c.Err, Unknown: c.Unknown, Latency: c.Latency})
			}
		},
		Dropped: func(topic string, partition int32, records int, reason string) {
			r.log(slog.LevelDebug, "records dropped; they belong to the next owner", "topic", topic, "partition", partition,
				"records", records, "reason", reason)
			if ev.Dropped != nil {
				ev.Dropped(DroppedEvent{Topic: topic, Partition: partition, Records: records, Reason: reason})
			}
		},
		Rebalanced: func(b group.Rebalanced) {
			r.member.Store(&b.Member)
			r.log(slog.LevelInfo, "the group has a new generation", "generation", b.Generation, "cause", b.Cause)
			if ev.Rebalanced != nil {
				ev.Rebalanced(RebalancedEvent{Member: b.Member, Generation: b.Generation, Cause: b.Cause})
			}
		},
		Warning: r.warn,
	}
}
