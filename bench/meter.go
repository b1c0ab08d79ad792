package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A meter measures a run. For handlers that do nothing the time begins when the
// client asks for the first records and ends when the last is handled. Those that
// sleep are measured in the middle, where all workers are busy: how fast they get
// there, and how the last ones end, is not what is asked.
type meter struct {
	s       spec
	ballast []byte

	// Which partitions lack how many records. One counter for each keeps the
	// workers out of each other's way.
	parts []counter
	left  atomic.Int32
	done  chan struct{}

	before   int64        // records that were handled before a steady measurement
	total    atomic.Int64 // of sleeping handlers
	lo, hi   int64        // they are measured between these
	inFlight atomic.Int64
	peak     atomic.Int64

	start, end  sync.Once
	begun, over mark
	live        heapWatch
	kept        int64
	idle        float64
	profile     *os.File
}

type counter struct {
	n atomic.Int64
	_ [120]byte // a cache line of its own, and its neighbour's
}

// A mark is what the counters said at one moment.
type mark struct {
	at  time.Time
	mem runtime.MemStats
	cpu time.Duration
}

func take() mark {
	m := mark{cpu: cpuTime()}
	runtime.ReadMemStats(&m.mem)
	m.at = time.Now()
	return m
}

func newMeter(s spec) *meter {
	m := &meter{s: s, parts: make([]counter, len(s.Counts)), done: make(chan struct{}), ballast: make([]byte, s.Ballast)}
	for _, c := range s.Counts {
		if c > 0 {
			m.left.Add(1)
		}
	}
	n := s.records()
	m.lo, m.hi = n*15/100, n*85/100
	return m
}

// OnBrokerWrite begins the measurement with the first request for records. It is a
// hook of the client, so that it is the same moment on both sides.
func (m *meter) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if kmsg.Key(key) == kmsg.Fetch && m.s.Sleep == 0 && !m.s.Steady {
		m.begin()
	}
}

func (m *meter) begin() {
	m.start.Do(func() {
		m.begun = take()
		m.live.begin()
		if m.s.Profile == "" {
			return
		}
		f, err := os.Create(m.s.Profile + ".cpu")
		if err == nil {
			m.profile = f
			_ = pprof.StartCPUProfile(f) // a profile that is missing shows
		}
	})
}

func (m *meter) finish() {
	m.end.Do(func() {
		m.over = take()
		m.live.end()
		if m.profile != nil {
			pprof.StopCPUProfile()
			_ = m.profile.Close()
		}
	})
}

// handled counts records of one partition. It is all that an empty handler does.
func (m *meter) handled(partition int32, n int64) {
	now := m.parts[partition].n.Add(n)
	if half := m.s.Counts[0] / 2; m.s.Steady && partition == 0 && now >= half && now-n < half {
		for i := range m.parts {
			m.before += m.parts[i].n.Load()
		}
		m.begin()
	}
	if now == m.s.Counts[partition] && m.left.Add(-1) == 0 {
		m.finish()
		close(m.done)
	}
}

// sleep is what a sleeping handler does.
func (m *meter) sleep() {
	running := m.inFlight.Add(1)
	for p := m.peak.Load(); running > p && !m.peak.CompareAndSwap(p, running); p = m.peak.Load() {
	}
	time.Sleep(m.s.Sleep)
	m.inFlight.Add(-1)
	switch m.total.Add(1) {
	case m.lo:
		m.begin()
	case m.hi:
		m.finish()
	}
}

// wait waits until all records are handled; then it looks at what is left.
func (m *meter) wait(ctx context.Context, failed <-chan error) error {
	select {
	case <-m.done:
	case err := <-failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m.s.Idle > 0 {
		time.Sleep(2 * time.Second) // the last commit, and what else is to settle
		before := cpuTime()
		time.Sleep(m.s.Idle)
		m.idle = (cpuTime() - before).Seconds() / m.s.Idle.Seconds()
	}
	runtime.GC()
	runtime.GC() // pools survive the first
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.kept = int64(mem.HeapAlloc)
	if m.s.Profile != "" {
		if f, err := os.Create(m.s.Profile + ".mem"); err == nil {
			_ = pprof.Lookup("allocs").WriteTo(f, 0)
			_ = f.Close()
		}
	}
	return nil
}

func (m *meter) result() result {
	n := m.s.records() - m.before
	if m.s.Sleep > 0 {
		n = m.hi - m.lo
	}
	a, b := &m.begun, &m.over
	sec := b.at.Sub(a.at).Seconds()
	r := result{
		Records: n, Seconds: sec, Rate: float64(n) / sec,
		Allocs: float64(b.mem.Mallocs-a.mem.Mallocs) / float64(n),
		Bytes:  float64(b.mem.TotalAlloc-a.mem.TotalAlloc) / float64(n),
		GCs:    int64(b.mem.NumGC - a.mem.NumGC),
		Live:   m.live.mean(), Kept: m.kept, RSS: maxRSS(), InFlight: m.peak.Load(),
		CPU: (b.cpu - a.cpu).Seconds() / sec, IdleCPU: m.idle,
	}
	runtime.KeepAlive(m.ballast)
	return r
}

// heapWatch looks again and again at how much the last collection found alive.
type heapWatch struct {
	stop chan struct{}
	wg   sync.WaitGroup
	sum  float64
	n    int
}

func (h *heapWatch) begin() {
	h.stop = make(chan struct{})
	h.wg.Go(func() {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		t := time.NewTicker(10 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-h.stop:
				return
			case <-t.C:
			}
			metrics.Read(sample)
			if v := sample[0].Value.Uint64(); v > 0 {
				h.sum += float64(v)
				h.n++
			}
		}
	})
}

func (h *heapWatch) end() {
	close(h.stop)
	h.wg.Wait()
}

func (h *heapWatch) mean() int64 { return int64(math.Round(h.sum / float64(max(h.n, 1)))) }

// maxRSS is the most memory that this process has had, in bytes: from the kernel
// where it tells, else what the runtime got from it.
func maxRSS() int64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, after, ok := bytes.Cut(status, []byte("VmHWM:")); ok {
			if f := bytes.Fields(after); len(f) > 0 {
				if kib, err := strconv.ParseInt(string(f[0]), 10, 64); err == nil {
					return kib << 10
				}
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}
