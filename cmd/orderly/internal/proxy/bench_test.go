package proxy

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkProxy gives throughput and p99 through the proxy as ratios of direct,
// on pairs of runs in turns. Client, proxy and brokers share this process and its
// cores, so the throughput's ratio is the worst case: what the proxy takes of the
// CPU the others lack.
//
//	go test -run '^$' -bench Proxy -benchtime 7x ./internal/proxy
func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"passing", Config{}},
		{"choosing by number", Config{Faults: []Fault{{Kind: LostAck, Share: 1e-12}}, Identify: byValue}},
	} {
		b.Run(c.name, func(b *testing.B) {
			cluster := startCluster(b, 1)
			p := startProxy(b, cluster.ListenAddrs(), c.cfg)
			var throughput, p99s []float64
			var direct, through []float64
			for b.Loop() {
				d, t := rate(b, cluster.ListenAddrs()[0]), rate(b, p.Addr())
				direct, through = append(direct, d), append(through, t)
				throughput = append(throughput, t/d)
				dp, tp := p99(b, cluster.ListenAddrs()[0]), p99(b, p.Addr())
				p99s = append(p99s, tp/dp)
			}
			b.ReportMetric(median(throughput), "throughput-ratio")
			b.ReportMetric(median(p99s), "p99-ratio")
			b.ReportMetric(median(direct), "direct-records/s")
			b.ReportMetric(median(through), "proxied-records/s")
		})
	}
}

// rate is how many records a second are acknowledged.
func rate(b *testing.B, addr string) float64 {
	const records = 300_000
	value := []byte("12345")
	cl := client(b, []string{addr}, kgo.DefaultProduceTopic(testTopic), kgo.MaxBufferedRecords(20_000))
	defer cl.Close()
	began := time.Now()
	for range records {
		cl.Produce(b.Context(), &kgo.Record{Key: []byte("key"), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return records / time.Since(began).Seconds()
}

// p99 is that of one record at a time, in seconds.
func p99(b *testing.B, addr string) float64 {
	cl := client(b, []string{addr}, kgo.DefaultProduceTopic(testTopic), kgo.ProducerLinger(0))
	defer cl.Close()
	var took []float64
	for range 3000 {
		began := time.Now()
		if err := cl.ProduceSync(b.Context(), kgo.StringRecord("12345")).FirstErr(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began).Seconds())
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
