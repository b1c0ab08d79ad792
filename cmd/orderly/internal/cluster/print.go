package cluster

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Write prints the report.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, id := range slices.Sorted(maps.Keys(r.Brokers)) {
		if r.Brokers[id] == embeddedVersion {
			fmt.Fprintf(t, "broker %s\tthe embedded broker of orderly\n", id)
			continue
		}
		fmt.Fprintf(t, "broker %s\tKafka %s by the requests that it knows\n", id, r.Brokers[id])
	}
	fmt.Fprintln(t, "\nTOPIC\tPARTITIONS\tREPLICAS\tMIN ISR\tOUT OF SYNC\tPRODUCERS\tOPEN TRANSACTIONS\tPOLICY")
	for _, l := range r.Topics {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%d\t%d\t%s\n", l.Topic, l.Partitions, l.Replicas, or(l.MinISR), l.OutOfSync, l.Producers, l.Transactions, or(l.Policy))
	}
	if len(r.Groups) > 0 {
		fmt.Fprintln(t, "\nGROUP\tTYPE\tSTATE\tASSIGNOR\tMEMBERS\tINSTANCE IDS\tLAG")
	}
	for _, g := range r.Groups {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%d\n", g.Group, g.Type, g.State, or(g.Assignor), g.Members, or(strings.Join(g.Instances, ",")), g.Lag)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return r.Report.Write(w)
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
