package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orderly-go/orderly/internal/history"
)

// Picture is an example as lanes over time: one lane for each writer, for the
// faults, for each partition's log and for each member. Where the lines of two
// records cross, their order was turned round.
type Picture struct {
	Width, Height int
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
	step       = 58
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
		d := Dot{X: laneStart + step*i, Y: y[r.Lane], Label: label(x.Events[i].Event), Fault: r.Role == history.RoleFault}
		d.Title = fmt.Sprintf("#%d %s %s %s", r.N, r.Time, r.Lane, r.Text)
		d.Class = string(r.Role)
		if r.ID > 0 {
			d.Class += fmt.Sprintf(" r%d", r.ID)
			paths[r.ID] = append(paths[r.ID], fmt.Sprintf("%d,%d", d.X, d.Y))
		}
		p.Dots = append(p.Dots, d)
	}
	for id, points := range paths {
		if len(points) > 1 {
			p.Lines = append(p.Lines, Line{strings.Join(points, " "), fmt.Sprintf("r%d", id)})
		}
	}
	p.Width = laneStart + step*len(all)
	p.Height = 40 + laneHeight*len(p.Lanes)
	return p
}

// label is what fits above a dot.
func label(e history.Event) string {
	inLog := slices.Contains([]history.Kind{history.LogRead, history.Log, history.Poll, history.Did, history.Start, history.End}, e.Kind)
	switch {
	case e.Kind == history.Fault:
		return short(e.Why)
	case e.Number > 0 && inLog:
		return fmt.Sprintf("%d @%d", e.Number, e.Offset)
	case e.Number > 0:
		return fmt.Sprint(e.Number)
	case inLog:
		return fmt.Sprintf("@%d", e.Offset)
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
