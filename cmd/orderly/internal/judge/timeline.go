package judge

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/orderly-go/orderly/internal/history"
)

// Row is one event of an example as people read it.
type Row struct {
	N    int64
	Time string // since the first event that has a time; "" without one
	Mark string // ">" shows the violation, "!" a fault
	Lane string // who it happened to, or where
	Text string
	Role history.Role
	ID   int // 1 or 2: of the first or second record that the violation is about, else 0
}

// rows gives the events of an example, in their order.
func rows(x *history.Example) []Row {
	var out []Row
	var zero int64
	for _, s := range x.Events {
		e := s.Event
		r := Row{N: e.N, Lane: lane(e), Text: what(e), Role: s.Role, ID: recordOf(x, e)}
		if e.At != 0 {
			if zero == 0 {
				zero = e.At
			}
			r.Time = since(time.Duration(e.At - zero))
		}
		switch s.Role {
		case history.RoleFinding:
			r.Mark = ">"
		case history.RoleFault:
			r.Mark = "!"
		}
		out = append(out, r)
	}
	return out
}

// since is a time as short as can be read beside others.
func since(d time.Duration) string {
	s := d.Round(100 * time.Microsecond).String()
	if d < 0 {
		return s
	}
	return "+" + s
}

// recordOf says which of the violation's two foremost records an event is about.
func recordOf(x *history.Example, e history.Event) int {
	for i, r := range x.Violation.Records[:min(2, len(x.Violation.Records))] {
		byNumber := r.Number > 0 && e.Number == r.Number && e.Key == r.Key && e.Writer == r.Writer && e.Epoch == r.Epoch
		byPlace := r.Offset >= 0 && e.Offset == r.Offset && e.Partition == r.Partition && placed(e)
		if e.Topic == r.Topic && (byNumber || r.Number == 0 && byPlace) && e.Kind != history.Fault {
			return i + 1
		}
	}
	return 0
}

func placed(e history.Event) bool {
	switch e.Kind {
	case history.Ack, history.LogRead, history.Poll, history.Did, history.Log, history.Start, history.End, history.Park, history.Done, history.Effect:
		return e.Partition >= 0 && e.Offset >= 0
	}
	return false
}

// lane says who or what an event belongs to.
func lane(e history.Event) string {
	switch e.Kind {
	case history.Send, history.Ack, history.Fail, history.Unclear:
		return "writer " + plain(or(e.Writer, "(unnamed)"))
	case history.LogRead, history.Log:
		return fmt.Sprintf("log %s/%d", plain(e.Topic), e.Partition)
	case history.Fault:
		return "faults"
	}
	return "member " + plain(e.Member)
}

// what says what happened.
func what(e history.Event) string {
	switch e.Kind {
	case history.Send:
		return "sends " + record(e)
	case history.Ack:
		if e.Partition < 0 {
			return "is told: written, " + record(e)
		}
		return fmt.Sprintf("is told: written at %d/%d, %s", e.Partition, e.Offset, record(e))
	case history.Fail:
		return "is told: surely not written, " + record(e) + why(e)
	case history.Unclear:
		return "cannot tell whether it was written: " + record(e) + why(e)
	case history.LogRead, history.Log:
		return fmt.Sprintf("offset %d holds %s", e.Offset, record(e))
	case history.Poll:
		return fmt.Sprintf("is given %s", where(e))
	case history.Did:
		if e.Cancelled {
			return fmt.Sprintf("gives up %s", where(e))
		}
		return fmt.Sprintf("finishes %s", where(e))
	case history.Start:
		return fmt.Sprintf("begins %s, attempt %d", where(e), e.Attempt)
	case history.End:
		if e.OK && !e.Cancelled {
			return fmt.Sprintf("ends %d/%d well, attempt %d", e.Partition, e.Offset, e.Attempt)
		}
		return fmt.Sprintf("ends %d/%d without success, attempt %d", e.Partition, e.Offset, e.Attempt)
	case history.Commit:
		return fmt.Sprintf("commits partition %d up to offset %d", e.Partition, e.Offset)
	case history.Assign, history.Own:
		return fmt.Sprintf("gets partition %d", e.Partition)
	case history.Revoke, history.Release:
		return fmt.Sprintf("gives up partition %d", e.Partition)
	case history.Lost:
		return fmt.Sprintf("has lost partition %d", e.Partition)
	case history.Kill:
		return "is killed"
	case history.Freeze:
		return "is frozen"
	case history.Thaw:
		return "goes on"
	case history.Park, history.Done, history.Effect:
		return fmt.Sprintf("%s %d/%d%s", e.Kind, e.Partition, e.Offset, why(e))
	case history.Fault:
		text := plain(e.Why)
		if e.Topic != "" && e.Partition >= 0 {
			text += fmt.Sprintf(" at %s/%d", plain(e.Topic), e.Partition)
		}
		if e.Number > 0 {
			text += " hits " + record(e)
		}
		return text
	}
	return string(e.Kind)
}

func where(e history.Event) string {
	return fmt.Sprintf("%d/%d, %s", e.Partition, e.Offset, record(e))
}

func record(e history.Event) string {
	s := "key " + cut(e.Key.String())
	if e.Number > 0 {
		s += fmt.Sprintf(" number %d", e.Number)
	}
	if e.Epoch > 0 {
		s += fmt.Sprintf(" epoch %d", e.Epoch)
	}
	switch e.Kind {
	case history.Send, history.Ack, history.Fail, history.Unclear:
	default:
		if e.Writer != "" {
			s += " of " + plain(e.Writer)
		}
	}
	return s
}

func why(e history.Event) string {
	if e.Why == "" {
		return ""
	}
	return " (" + plain(e.Why) + ")"
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// plain gives text from a history as one short line without anything that a
// terminal would obey.
func plain(s string) string { return cut(printable(s)) }

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// clipped is a name for the head of a column: of a longer one its first parts.
func clipped(s string) string {
	s = printable(s)
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	r := []rune(s)[:maxText-3]
	if n := strings.LastIndex(string(r), ", "); n > 0 {
		return string(r)[:n] + ", …"
	}
	return string(r) + "…"
}

const maxText = 60

// cut shortens what would fill lines.
func cut(s string) string {
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	r := []rune(s)
	return string(r[:maxText-1]) + "…" + strconv.Itoa(len(r))
}
