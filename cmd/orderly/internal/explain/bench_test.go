package explain

import (
	"fmt"
	"strings"
	"testing"
)

// Lines of a second: of a log in which nothing is known, and of one in which each
// tenth line is.
func BenchmarkScan(b *testing.B) {
	plain := make([][]byte, 0, 1000)
	for i := range 1000 {
		plain = append(plain, []byte(fmt.Sprintf("2026-11-20 03:12:%02d,%03d  INFO 1 --- [ntainer#0-0-C-1] c.acme.billing.OrderListener : handled order %d of customer %d in %d ms", i%60, i, i*7919, i*31, i%97)))
	}
	known := make([][]byte, len(plain))
	copy(known, plain)
	for i := 0; i < len(known); i += 10 {
		known[i] = []byte(strings.SplitN(knownLines[i/10%len(knownLines)].text, "\n", 2)[0])
	}
	for _, c := range []struct {
		name  string
		lines [][]byte
	}{{"nothing known", plain}, {"each tenth known", known}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewScanner()
			size := int64(0)
			for i := 0; b.Loop(); i++ {
				line := c.lines[i%len(c.lines)]
				size += int64(len(line)) + 1
				s.Line(line)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(size)/b.Elapsed().Seconds()/1e6, "MB/s")
		})
	}
}
