//go:build unix

package pipe

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
)

// A second answer that comes when the worker has no record is never taken for
// the next record's, from the moment on at which it has been written.
func TestLateSecondAnswer(t *testing.T) {
	told, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	p := newPool(t, 1, new(words), "work")
	defer p.Close()
	var log bytes.Buffer
	p.o.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 20 {
		log.Reset()
		if err := p.Handle(t.Context(), message("late "+told.Addr().String())); err != nil {
			t.Fatal(err)
		}
		conn, err := told.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if err := p.Handle(t.Context(), message("fail")); err == nil || !strings.Contains(err.Error(), "it is broken") {
			t.Fatalf("the next record has the outcome %v", err)
		}
		for _, part := range []string{"out of step", "worker 1 (pid ", "when it had no record"} {
			if !strings.Contains(log.String(), part) {
				t.Fatalf("the log does not say %q: %s", part, log.String())
			}
		}
	}
}

// A pipe that nobody writes to any more has ended, also before its reader knows.
func TestEndedOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o, err := newOutput(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, more, ended := o.beyond(0); more || ended {
		t.Errorf("open: %v, %v", more, ended)
	}
	if _, err := w.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if unread, more, ended := o.beyond(0); string(unread) != "x" || !more || ended {
		t.Errorf("closed with a word: %q, %v, %v", unread, more, ended)
	}
	if _, more, ended := o.beyond(1); more || !ended {
		t.Errorf("closed: %v, %v", more, ended)
	}
}
