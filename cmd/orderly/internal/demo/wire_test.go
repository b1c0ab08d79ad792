package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"testing"
)

// A process goes on only when the demo has answered, and learns that it is to
// stop, or that nobody is there any more.
func TestLink(t *testing.T) {
	fromDemo, toMember := io.Pipe()
	fromMember, toDemo := io.Pipe()
	l := newLink(fromDemo, toDemo)
	type outcome struct {
		r   reply
		err error
	}
	told := make(chan outcome)
	tell := func(m message) {
		go func() {
			r, err := l.tell(m)
			told <- outcome{r, err}
		}()
	}
	demo := bufio.NewReader(fromMember)
	hear := func() (m message) {
		line, err := demo.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}

	tell(message{Kind: started, Partition: 2, Offset: 3, Key: "k\n"})
	m := hear()
	if m.Kind != started || m.Partition != 2 || m.Offset != 3 || m.Key != "k\n" {
		t.Errorf("heard %+v", m)
	}
	select {
	case o := <-told:
		t.Fatalf("it goes on without an answer: %+v", o)
	default:
	}
	json.NewEncoder(toMember).Encode(reply{Stop: true})
	<-l.stop
	json.NewEncoder(toMember).Encode(reply{Stop: true}) // again: harmless
	json.NewEncoder(toMember).Encode(reply{ID: m.ID, Fail: true, Work: 5})
	if o := <-told; o.err != nil || !o.r.Fail || o.r.Work != 5 {
		t.Errorf("answer %+v", o)
	}

	tell(message{Kind: ended})
	hear()
	toMember.Close()
	if o := <-told; !errors.Is(o.err, errParentGone) {
		t.Errorf("error %v", o.err)
	}
	<-l.gone
	fromMember.Close()
	if _, err := l.tell(message{}); !errors.Is(err, errParentGone) {
		t.Errorf("error %v", err)
	}
}
