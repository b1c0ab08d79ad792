package judge

import (
	"fmt"
	"strings"

	"github.com/orderly-go/orderly/internal/history"
)

// Picture is an example as lanes over time: one lane for each writer, for the
// faults, for each partition's log and for each member. Where the lines of two
// records cross, their order was turned round.
type Picture struct {
	Width, Height int
	Axis          int // where the events' numbers and times stand
	Lanes         []Lane
	Dots          []Dot
	Lines         []Line
}

// Lane is one row of a picture.
type Lane struct {
	Name string
	Y    int
}

// Dot is one event.
type Dot struct {
	X, Y  int
	Class string // of the style
	Label string // short, above it
	Title string // what happened
	N     int64
	Time  string
	Fault bool
}

// Line joins the events of one record.
type Line struct {
	Points string
	Class  string
}

const (
	laneHeight = 56
	laneStart  = 190
	step       = 72
)

// picture draws an example.
func picture(x *history.Example) *Picture {
	all := rows(x)
	if len(all) == 0 {
		return nil
	}
	p := &Picture{}
	y := map[string]int{}
	for _, group := range []string{"writer ", "faults", "log ", "member "} {
		for _, r := range all {
			if _, ok := y[r.Lane]; !ok && strings.HasPrefix(r.Lane, group) {
				y[r.Lane] = 40 + laneHeight*len(p.Lanes)
				p.Lanes = append(p.Lanes, Lane{r.Lane, y[r.Lane]})
			}
		}
	}
	paths := [3][]string{}
	for i, r := range all {
		d := Dot{N: r.N, Time: r.Time, X: laneStart + step*i, Y: y[r.Lane], Label: label(x.Events[i].Event), Fault: r.Role == history.RoleFault}
		d.Title = fmt.Sprintf("#%d %s %s %s", r.N, r.Time, r.Lane, r.Text)
		d.Class = string(r.Role)
		if r.ID > 0 {
			d.Class += fmt.Sprintf(" r%d", r.ID)
			switch x.Events[i].Event.Kind {
			case history.Ack, history.Fail, history.Unclear: // from its sending straight to the log
			default:
				paths[r.ID] = append(paths[r.ID], fmt.Sprintf("%d,%d", d.X, d.Y))
			}
		}
		p.Dots = append(p.Dots, d)
	}
	for id, points := range paths {
		if len(points) > 1 {
			p.Lines = append(p.Lines, Line{strings.Join(points, " "), fmt.Sprintf("r%d", id)})
		}
	}
	p.Width = laneStart + step*len(all)
	p.Axis = 40 + laneHeight*len(p.Lanes)
	p.Height = p.Axis + 30
	return p
}

// label is what fits above a dot.
func label(e history.Event) string {
	name := fmt.Sprint(e.Number)
	if e.Number == 0 {
		name = fmt.Sprintf("@%d", e.Offset)
	}
	switch e.Kind {
	case history.Fault:
		return short(e.Why)
	case history.Send, history.Poll, history.Start:
		return name
	case history.Ack, history.Did, history.End:
		return name + " ok"
	case history.Fail:
		return name + " failed"
	case history.Unclear:
		return name + " ?"
	case history.LogRead, history.Log:
		if e.Number > 0 {
			return fmt.Sprintf("%s @%d", name, e.Offset)
		}
		return name
	case history.Commit:
		return fmt.Sprintf("commit %d", e.Offset)
	}
	return string(e.Kind)
}

func short(s string) string {
	r := []rune(plain(s))
	if len(r) > 12 {
		return string(r[:11]) + "…"
	}
	return string(r)
}
