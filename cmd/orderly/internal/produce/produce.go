package produce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/connect"
	"github.com/orderly-go/orderly/internal/fieldpath"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options say what to send and where.
type Options struct {
	Cluster    *connect.Cluster
	Topic      string
	Key        fieldpath.Path
	Value      *fieldpath.Path // nil: the line
	Create     bool
	Partitions int
	SkipBad    bool
	MaxRecord  int // bytes
	Files      []string
	In         io.Reader
	Err        io.Writer // progress, log, lines that were skipped
}

// A Result says what became of the lines. Blank ones do not count.
type Result struct {
	Topic   string  `json:"topic"`
	Lines   int64   `json:"lines"`   // that were read
	Sent    int64   `json:"sent"`    // records that were acknowledged
	Skipped int64   `json:"skipped"` // lines that could not be sent, with --skip-bad
	Failed  int64   `json:"failed"`  // records that were not acknowledged
	Bytes   int64   `json:"bytes"`   // of keys and values that were acknowledged
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"records_per_second"`
	Error   string  `json:"error,omitempty"`
}

// drain is how long records that are under way are waited for after a signal.
const drain = 10 * time.Second

// largestRequest is the client's own limit; it has to be raised for records that
// are larger.
const largestRequest = 100 << 20

// A SendError is the first record that was not acknowledged.
type SendError struct {
	File string
	Line int
	Err  error
}

func (e *SendError) Error() string {
	return fmt.Sprintf("%s line %d was not sent: %v", e.File, e.Line, e.Err)
}
func (e *SendError) Unwrap() error { return e.Err }

// Run sends the lines of all files, one after the other.
func Run(ctx context.Context, o Options) (res Result, err error) {
	res.Topic = o.Topic
	sources, size, err := openAll(o.Files, o.In)
	if err != nil {
		return res, err
	}
	defer closeAll(sources)
	if err := o.prepare(ctx); err != nil {
		return res, err
	}
	s := &sending{o: &o}
	bar := startProgress(o.Err, s, size)
	o.Err = bar
	cfg := orderly.ProducerConfig{
		Brokers: o.Cluster.Brokers, KafkaOpts: o.Cluster.Opts, MaxBatchBytes: o.MaxRecord, StartTimeout: startTimeout,
		Logger: slog.New(slog.NewTextHandler(o.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if o.MaxRecord > largestRequest-1<<20 {
		cfg.KafkaOpts = append(cfg.KafkaOpts[:len(cfg.KafkaOpts):len(cfg.KafkaOpts)], kgo.BrokerMaxWriteBytes(int32(min(o.MaxRecord+1<<20, 1<<30))))
	}
	p, err := orderly.NewProducer(cfg)
	if err != nil {
		bar.end()
		return res, err
	}
	s.p = p
	began := time.Now()
	ctx, s.halt = context.WithCancelCause(ctx)
	defer s.halt(nil)
	err = s.all(ctx, sources)

	// What was taken in is not given up because of a later line.
	patience := context.Background()
	if interrupted := ctx.Err() != nil && s.failure() == nil; interrupted {
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(patience, drain)
		defer cancel()
	}
	closeErr := p.Close(patience)
	bar.end()
	if f := s.failure(); f != nil {
		err = f // it was first: what stopped the reading came of it
	} else {
		err = errors.Join(err, closeErr)
	}
	res.Lines, res.Sent, res.Skipped, res.Failed, res.Bytes = s.lines, s.sent.Load(), s.skipped, s.failed.Load(), s.bytes.Load()
	res.Seconds = time.Since(began).Seconds()
	res.Rate = float64(res.Sent) / max(res.Seconds, 1e-9)
	return res, err
}

// sending is one run.
type sending struct {
	o    *Options
	p    *orderly.Producer
	halt context.CancelCauseFunc

	lines, skipped int64 // the reader's own
	read           atomic.Int64
	sent, bytes    atomic.Int64
	failed         atomic.Int64

	mu    sync.Mutex
	first *SendError
}

func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		return nil
	}
	return s.first
}

func (s *sending) all(ctx context.Context, sources []*source) error {
	for _, src := range sources {
		if err := s.one(ctx, src); err != nil {
			return err
		}
	}
	return nil
}

// shownBad is how many skipped lines are named.
const shownBad = 10

func (s *sending) one(ctx context.Context, src *source) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := src.next(&s.read)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var rec *kgo.Record
		if err == nil {
			if rec, err = s.o.recordOf(line); err != nil {
				err = &LineError{src.name, src.line, err}
			}
		}
		var bad *LineError
		switch {
		case err == nil:
			s.lines++
			s.send(ctx, rec, src.name, src.line)
		case errors.As(err, &bad) && s.o.SkipBad:
			s.lines++
			s.skipped++
			if s.skipped <= shownBad {
				fmt.Fprintf(s.o.Err, "orderly: skipped: %v\n", bad)
			} else if s.skipped == shownBad+1 {
				fmt.Fprintln(s.o.Err, "orderly: more lines are skipped; they are counted")
			}
		default:
			if bad != nil {
				s.lines++
			}
			return err
		}
	}
}

func (s *sending) send(ctx context.Context, rec *kgo.Record, file string, line int) {
	size := int64(len(rec.Key) + len(rec.Value))
	s.p.Produce(ctx, rec, func(_ *kgo.Record, err error) {
		if err == nil {
			s.sent.Add(1)
			s.bytes.Add(size)
			return
		}
		s.failed.Add(1)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return // it waited to be taken in when the run was ended
		}
		f := &SendError{file, line, err}
		s.mu.Lock()
		if s.first == nil {
			s.first = f
		}
		s.mu.Unlock()
		s.halt(f) // nothing more is read
	})
}
