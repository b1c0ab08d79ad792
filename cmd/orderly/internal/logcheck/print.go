package logcheck

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// mostWriters is how many are printed; --json has all.
const mostWriters = 20

// Write prints the report.
func (r *Report) Write(w io.Writer) error {
	s := r.Sample
	if _, err := fmt.Fprintf(w, "Topic %s: %d partitions; sampled %d records in %d batches, %d keys, %d bytes.\n\n",
		r.Topic, len(s.Partitions), s.Records, s.Batches, s.Keys, s.Bytes); err != nil {
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
