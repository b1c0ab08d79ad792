package pipe

import (
	"net"
	"strings"
	"testing"
)

// A worker that has answered and ends before it has read anything of the next record
// costs that no attempt, though the record was given to it.
func TestEndedWithTheNextRecordUnread(t *testing.T) {
	p := newPool(t, 1, new(words), "work")
	defer p.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, value := range []string{"ok", strings.Repeat("x", 2*pipeHolds)} { // both ways of writing it
		if err := p.Handle(t.Context(), message("leave "+ln.Addr().String())); err != nil {
			t.Fatal(err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		w := p.free[0].w
		result := make(chan error)
		m := message(value)
		go func() { result <- p.Handle(t.Context(), m) }()
		for unreadIn(w.in) != len(Line(m)) {
			select {
			case err := <-result:
				t.Fatal(err)
			default:
			}
		}
		if _, err := conn.Write([]byte{1}); err != nil { // now it ends
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Errorf("%d bytes: %v", len(value), err)
		}
		_ = conn.Close()
	}
}

// One worker for each record, as some write them: none of the records needs a second
// attempt.
func TestOneShotWorkers(t *testing.T) {
	p := newPool(t, 2, new(words), "work")
	defer p.Close()
	for range 10 {
		if err := p.Handle(t.Context(), message("once")); err != nil {
			t.Fatal(err)
		}
	}
}

// A program that ends before it reads anything is not started for ever: it costs
// attempts.
func TestNeverReads(t *testing.T) {
	p := newPool(t, 1, new(words), "gone")
	defer p.Close()
	if err := p.Handle(t.Context(), message("ok")); err == nil || !strings.Contains(err.Error(), "died with the record in hand") {
		t.Errorf("%v", err)
	}
}
