package history

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// BenchmarkChecker tells records per second (each has five events: sent,
// acknowledged, read, given, finished) and what one key costs.
func BenchmarkChecker(b *testing.B) {
	for _, keys := range []int64{1000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			before := heap()
			opt := complete
			opt.AllowVacuous = true // the first round has one record
			c := NewChecker(opt)
			for n := range int64(b.N) {
				way(c.Add, n%keys, n/keys+1, 8, keys)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			// The window of values is of the partitions, not of the keys.
			var pages int64
			for _, p := range c.topics[topic].parts {
				pages += int64(len(p.values.pages))
			}
			bytes := int64(heap()) - int64(before) - pages*(16<<pageBits)
			b.ReportMetric(float64(bytes)/float64(min(keys, int64(b.N))), "B/key")
			if r := c.Finish(); !r.OK() {
				b.Fatal(r)
			}
			runtime.KeepAlive(c)
		})
	}
}

// BenchmarkScan reads and checks a file, as "orderly prove check" does.
func BenchmarkScan(b *testing.B) {
	const records, keys = 100_000, 1000
	var events []Event
	for n := range int64(records) {
		way(func(e Event) { events = append(events, e) }, n%keys, n/keys+1, 8, keys)
	}
	var file bytes.Buffer
	if err := Write(&file, events); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		c := NewChecker(complete)
		if err := Scan(bytes.NewReader(file.Bytes()), func(e Event) error { c.Add(e); return nil }); err != nil {
			b.Fatal(err)
		}
		if r := c.Finish(); !r.OK() {
			b.Fatal(r)
		}
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}
