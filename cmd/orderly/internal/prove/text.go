package prove

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orderly-go/orderly/internal/history"
)

// about says what is done, for who has read nothing.
var about = map[Workload]string{
	Producer: "Records were written to Kafka while answers were lost, batches refused, sent late or twice. In order means: in the log each\n" +
		"key's records stand as they were sent, each once, and what was acknowledged is there.",
	Consumer: "Records that stand in Kafka were processed while handlers failed and took their time, answers of the coordinator were lost,\n" +
		"and members of the group came and went. In order means: of each key one record at a time, each after the one before it is done.",
	EndToEnd: "Records were written to Kafka and processed, while answers were lost, batches refused or sent twice, handlers failed, and\n" +
		"members of the group came and went. In order means: each key's records stand in the log as they were sent, each once, and are\n" +
		"processed in that order.",
	Growth: "Records were written to Kafka, and half-way the number of partitions was doubled. In order means: each key's records stand\n" +
		"in one partition, as they were sent, each once.",
}

// aboutCrew is the same for a program that consumes.
const aboutCrew = "Records were written to Kafka and processed by copies of the program, while answers of brokers were lost, and copies joined, were\n" +
	"told to end, and were killed. In order means: of each key one record at a time, each after the one before it is done."

// Write tells the result to people.
func (r *Result) Write(w io.Writer, c *Config, again string) error {
	var b strings.Builder
	what := about[c.Workload]
	if c.Subject.Kind == Program && c.Workload == Consumer {
		what = aboutCrew
	}
	fmt.Fprintf(&b, "%s\nThe control went through the same, at the same records.\n\n", what)
	fmt.Fprintf(&b, "  subject  %s\n  control  %s\n", r.Subject.Name, r.Control.Name)
	where := "the embedded broker, in memory"
	if len(c.Brokers) > 0 {
		where = "the cluster of " + strings.Join(c.Brokers, ", ")
	}
	fmt.Fprintf(&b, "  where    %s, %d partitions; seed %d; %s", where, c.Partitions, c.Seed, r.Elapsed.Round(100*time.Millisecond))
	if r.Rounds > 1 {
		fmt.Fprintf(&b, " in %d rounds, from this seed on", r.Rounds)
	}
	b.WriteString("\n\n")
	if err := r.Verdict.Write(&b); err != nil {
		return err
	}
	r.writeControl(&b)
	if c.Keep {
		fmt.Fprintf(&b, "\nkept: %s\n", strings.Join(r.Topics, ", "))
	}
	fmt.Fprintf(&b, "\nOnce more at the same records: %s\n", again)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeControl says how the control broke: it is what the subject did not do.
func (r *Result) writeControl(b *strings.Builder) {
	begun := false
	for _, class := range history.Classes() {
		n := r.Control.Report.Counts[class]
		if n == 0 || class.Weak() {
			continue
		}
		if !begun {
			b.WriteString("\nThe control broke:\n")
			begun = true
		}
		info := history.About(class)
		fmt.Fprintf(b, "  %6d  %s: %s (%s)\n", n, info.Title, info.Explain, class)
		for _, x := range r.Control.Examples {
			if x.Violation.Class == class {
				fmt.Fprintf(b, "          e.g. %s\n", x.Violation.Text)
			}
		}
	}
}
