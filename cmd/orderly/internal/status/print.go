package status

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/orderly-go/orderly"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
	"github.com/orderly-go/orderly/health"
)

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	var lag, undone int64
	unknown, blocked := 0, 0
	for _, p := range r.Partitions {
		if p.Lag < 0 {
			unknown++
			continue
		}
		lag, undone = lag+p.Lag, undone+p.Undone
		if p.Live != nil {
			blocked += p.Live.BlockedKeys
		}
	}
	fmt.Fprintf(w, "group %s: %s, %s, %s; lag %d, undone %d\n", r.Group, strings.ToLower(r.State), plural.Of(len(r.Members), "member"), plural.Of(len(r.Partitions), "partition"), lag, undone)
	if k := r.Parked; k != nil && k.Keys > 0 {
		fmt.Fprintf(w, "parked: %s with %s%s\n", plural.Of(k.Keys, "key"), plural.Of(k.Records, "record"), oldestText(k.Oldest, r.Time))
	}
	if unknown > 0 {
		fmt.Fprintf(w, "of %s the log is not known\n", plural.Of(unknown, "partition"))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nMEMBER\tHOST\tPARTITIONS\tADDRESS\tBREAKER\n")
	for _, m := range r.Members {
		name := m.ID
		if m.InstanceID != "" {
			name = m.InstanceID
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", name, m.Host, m.Partitions, dash(m.Address), breakerText(m.Breaker, r.Time))
	}
	fmt.Fprint(t, "\nPARTITION\tCOMMITTED\tEND\tLAG\tUNDONE\tAHEAD\tFAILED\tTOKEN\tWINDOW\tBLOCKED\tPARKED\tSTATE\n")
	for _, p := range r.Partitions {
		window, keys, parked, state := "-", "-", "-", "-"
		ahead := p.DoneAhead
		if l := p.Live; l != nil {
			window, keys, state, ahead = strconv.Itoa(l.Window), strconv.Itoa(l.BlockedKeys), "runs", l.DoneAhead
			parked = parkedText(l.Parking)
			if len(l.Reasons) > 0 {
				state = strings.Join(l.Reasons, ",")
			}
		} else if p.Owner == "" {
			state = "no owner"
		}
		if p.Metadata != "ok" {
			state += " (metadata: " + p.Metadata + ")"
		}
		fmt.Fprintf(t, "%s/%d\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", p.Topic, p.Partition, number(p.Committed), number(p.End), number(p.Lag),
			number(p.Undone), ahead, p.Failed, p.FencingToken, window, keys, parked, state)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if blocked > 0 {
		fmt.Fprintln(w, "\nBlocked longest:")
		var oldest []health.Key
		for _, p := range r.Partitions {
			if p.Live != nil {
				oldest = append(oldest, p.Live.Blocked...)
			}
		}
		if err := writeKeys(w, oldest, r.Time); err != nil {
			return err
		}
	}
	if err := r.writeParking(w); err != nil {
		return err
	}
	return unreached(w, r.Unreached)
}

// breakerText is a breaker in one line.
func breakerText(b *Breaker, now time.Time) string {
	if b == nil {
		return "-"
	}
	text := b.State
	if b.Since != nil && b.State != orderly.BreakerClosed {
		text += " for " + max(0, now.Sub(*b.Since)).Round(time.Second).String()
	}
	if b.NextProbe != nil {
		text += ", next probe in " + max(0, b.NextProbe.Sub(now)).Round(time.Second).String()
	}
	if b.Share > 0 {
		text += fmt.Sprintf(", %s at a time", plural.Of(b.Share, "key"))
	}
	if b.State == orderly.BreakerOpen && b.Reason != "" {
		text += ": " + line(b.Reason)
	}
	return text
}

// Write prints the keys for people.
func (k *Keys) Write(w io.Writer) error {
	if k.Blocked == 0 {
		text := "no key is blocked"
		if k.State != "" {
			text += " as " + string(k.State)
		}
		if len(k.Unreached) > 0 {
			text += ", of the members that were reached"
		}
		fmt.Fprintln(w, text)
		return unreached(w, k.Unreached)
	}
	fmt.Fprintf(w, "%s blocked", plural.Of(k.Blocked, "key")+plural.Verb(k.Blocked, " is", " are"))
	if k.State != "" {
		fmt.Fprintf(w, " as %s", k.State)
	}
	if len(k.Keys) < k.Blocked {
		fmt.Fprintf(w, "; %d of them:", len(k.Keys))
	}
	fmt.Fprintln(w)
	if err := writeKeys(w, k.Keys, k.Time); err != nil {
		return err
	}
	return unreached(w, k.Unreached)
}

func writeKeys(w io.Writer, keys []health.Key, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "KEY\tPARTITION\tOFFSET\tRECORDS\tSTATE\tFOR\tATTEMPTS\tNEXT\tCAUSE\n")
	for _, k := range keys {
		next := "-"
		if k.Next != nil {
			next = "in " + max(0, k.Next.Sub(now)).Round(time.Second).String()
		}
		fmt.Fprintf(t, "%s\t%s/%d\t%d\t%d\t%s\t%s\t%d\t%s\t%s\n", keyText(k), k.Topic, k.Partition, k.FirstOffset, k.Records, line(k.State),
			max(0, now.Sub(k.Since)).Round(time.Second), k.Attempts, next, line(k.Cause))
	}
	return t.Flush()
}

// keyText shows a key as the member gives it.
func keyText(k health.Key) string {
	switch {
	case k.Key != nil:
		return strconv.Quote(*k.Key)
	case k.KeyHex != "":
		return "hex:" + k.KeyHex
	case k.KeyHash != "":
		return "hash:" + k.KeyHash
	}
	return "-"
}

// line makes one line of a text that comes from a handler.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func unreached(w io.Writer, out []Unreached) error {
	for _, u := range out {
		if _, err := fmt.Fprintf(w, "not reached: %s: %s\n", u.Address, line(u.Error)); err != nil {
			return err
		}
	}
	return nil
}

func number(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
