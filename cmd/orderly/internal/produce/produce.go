package produce

import (
	"cmp"
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
	Partitions int // over which keys are spread; 0: all that the topic has
	SkipBad    bool
	MaxRecord  int // bytes
	// DeliveryTimeout is how long a record may take to be acknowledged; 0: the
	// library's default.
	DeliveryTimeout time.Duration
	// Drain is how long records that are under way are waited for after a signal;
	// 0: 10 s.
	Drain time.Duration
	Files []string
	In    io.Reader
	Err   io.Writer // progress, log, lines that were skipped
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

const defaultDrain = 10 * time.Second

// largestRequest is the client's own limit; it has to be raised for records that
// are larger.
const largestRequest = 100 << 20

// A SendError is the first line of the input whose record was not acknowledged.
// Everything before it is written; lines behind it may be, those of other keys.
type SendError struct {
	File string
	Line int
	Err  error

	source int // its number
}

// before is the order of the input.
func (e *SendError) before(other *SendError) bool {
	return e.source < other.source || e.source == other.source && e.Line < other.Line
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
	p, err := orderly.NewProducer(o.producer())
	if err != nil {
		bar.end()
		return res, err
	}
	s.p = p
	began := time.Now()
	signal := ctx
	ctx, s.halt = context.WithCancelCause(ctx)
	defer s.halt(nil)
	err = s.reading(ctx, sources)

	// What was taken in is not given up because of a later line, but a signal
	// ends that too, whenever it comes.
	patience, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	limited := context.AfterFunc(signal, func() {
		late := time.AfterFunc(cmp.Or(o.Drain, defaultDrain), func() { giveUp(context.Cause(signal)) })
		context.AfterFunc(patience, func() { late.Stop() })
	})
	defer limited()
	closeErr := p.Close(patience)
	bar.end()
	if f := s.failure(); f != nil {
		err = f // it was first: what stopped the reading came of it
		if errors.Is(f, orderly.ErrProducerClosed) && signal.Err() != nil {
			err = errors.Join(context.Cause(signal), f)
		}
	} else {
		err = errors.Join(err, closeErr)
	}
	res.Lines, res.Sent, res.Skipped, res.Failed, res.Bytes = s.lines, s.sent.Load(), s.skipped, s.failed.Load(), s.bytes.Load()
	res.Seconds = time.Since(began).Seconds()
	res.Rate = float64(res.Sent) / max(res.Seconds, 1e-9)
	return res, err
}

// producer is how the library's producer is configured.
func (o *Options) producer() orderly.ProducerConfig {
	cfg := orderly.ProducerConfig{
		Brokers: o.Cluster.Brokers, KafkaOpts: o.Cluster.Opts, MaxBatchBytes: o.MaxRecord, StartTimeout: startTimeout,
		DeliveryTimeout: o.DeliveryTimeout,
		Logger:          slog.New(slog.NewTextHandler(o.Err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if o.Partitions > 0 {
		cfg.Partitions = map[string]int{o.Topic: o.Partitions}
	}
	if o.MaxRecord > largestRequest-1<<20 {
		cfg.KafkaOpts = append(cfg.KafkaOpts[:len(cfg.KafkaOpts):len(cfg.KafkaOpts)], kgo.BrokerMaxWriteBytes(int32(min(o.MaxRecord+1<<20, 1<<30))))
	}
	return cfg
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
	first *SendError // in the input

	gate sync.Mutex // of the reader, while it does something with a line
}

func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		return nil
	}
	return s.first
}

// reading reads and sends until the end, or until ctx ends: also when nothing comes
// in from a pipe, whose reader is left behind then. It sends nothing any more.
func (s *sending) reading(ctx context.Context, sources []*source) error {
	result := make(chan error, 1)
	go func() { result <- s.all(ctx, sources) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	s.gate.Lock() // the line that it is at; for good, when it waits for one
	defer s.gate.Unlock()
	select {
	case err := <-result:
		return err
	default:
		return context.Cause(ctx)
	}
}

func (s *sending) all(ctx context.Context, sources []*source) error {
	for i, src := range sources {
		if err := s.one(ctx, i, src); err != nil {
			return err
		}
	}
	return nil
}

// shownBad is how many skipped lines are named.
const shownBad = 10

func (s *sending) one(ctx context.Context, i int, src *source) error {
	for {
		line, err := src.next(&s.read)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err := s.take(ctx, i, src, line, err); err != nil {
			return err
		}
	}
}

// take does what is to be done with a line, or with why there is none.
func (s *sending) take(ctx context.Context, i int, src *source, line []byte, err error) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
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
		s.send(ctx, rec, i, src.name, src.line)
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
	return nil
}

func (s *sending) send(ctx context.Context, rec *kgo.Record, source int, file string, line int) {
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
		f := &SendError{file, line, err, source}
		s.mu.Lock()
		if s.first == nil || f.before(s.first) {
			s.first = f
		}
		s.mu.Unlock()
		s.halt(f) // nothing more is read
	})
}
