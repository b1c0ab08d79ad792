package logcheck

import (
	"fmt"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"io"
	"text/tabwriter"
	"time"
)

// mostWriters is how many are printed; --json has all.
const mostWriters = 20

// Write prints the report.
func (r *Report) Write(w io.Writer) error {
	s := r.Sample
	if _, err := fmt.Fprintf(w, "Topic %s: %s; sampled %s in %s, %s, %s.\n\n",
		r.Topic, plural.Of(len(s.Partitions), "partition"), plural.Of(s.Records, "record"), plural.Of(s.Batches, "batch"), plural.Of(s.Keys, "key"), plural.Of(s.Bytes, "byte")); err != nil {
		return err
	}
	if len(r.Writers) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "PRODUCER\tEPOCHS\tRECORDS\tFIRST\tLAST\tPARTITIONER")
		for i, o := range r.Writers {
			if i == mostWriters {
				fmt.Fprintf(t, "and %d more\n", len(r.Writers)-i)
				break
			}
			id, epochs := fmt.Sprint(o.ProducerID), fmt.Sprintf("%d-%d", o.Epochs[0], o.Epochs[1])
			if o.ProducerID < 0 {
				id, epochs = "none", "-"
			}
			if o.Transactional {
				id += " (transactional)"
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\n", id, epochs, o.Records, o.First.Time.UTC().Format(time.RFC3339), o.Last.Time.UTC().Format(time.RFC3339), o.Partitioner)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return r.Report.Write(w)
}
