package produce

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/orderly-go/orderly/orderlytest"
)

// terminal returns both ends of a new terminal: a screen to read from, and what a
// program writes to.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	control := func(request uintptr, arg *uint32) {
		raw, err := screen.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				if _, _, code := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(arg))); code != 0 {
					t.Fatal(code)
				}
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var unlocked, number uint32
	control(syscall.TIOCSPTLCK, &unlocked)
	control(syscall.TIOCGPTN, &number)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// rendered is what stands on a screen after this was written: a carriage return
// begins the line again.
func rendered(raw string) (lines []string) {
	var line []byte
	at := 0
	for _, c := range []byte(raw) {
		switch c {
		case '\r':
			at = 0
		case '\n':
			lines = append(lines, strings.TrimRight(string(line), " "))
			line, at = nil, 0
		default:
			if at == len(line) {
				line = append(line, 0)
			}
			line[at] = c
			at++
		}
	}
	return append(lines, string(line))
}

// On a terminal the progress is one line that is written over, up to its end; what
// else is said stands on lines of its own.
func TestProgressOnATerminal(t *testing.T) {
	b := orderlytest.NewBroker(t, topic)
	screen, tty := terminal(t)
	shown := make(chan struct{})
	var raw bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		part := make([]byte, 4096)
		for told := false; ; {
			n, err := screen.Read(part)
			raw.Write(part[:n])
			if !told && strings.Contains(raw.String(), "2 records, ") {
				told = true
				close(shown)
			}
			if err != nil { // the other end is closed
				return
			}
		}
	}()
	r, w := io.Pipe()
	o := options(t, b, "")
	o.In, o.Err, o.SkipBad = r, tty, true
	go func() {
		_, _ = io.WriteString(w, "{\"k\":1}\n{\"k\":2}\n")
		<-shown
		_, _ = io.WriteString(w, "{\"x\":1}\n{\"k\":3}\n")
		_ = w.Close()
	}()
	if res, err := Run(limit(t), o); err != nil || res.Sent != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	file := write(t, "in.jsonl", "{\"k\":4}\n{\"k\":5}\n")
	o = options(t, b, "", file)
	o.Err = tty
	if res, err := Run(limit(t), o); err != nil || res.Sent != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	tty.Close()
	<-read
	lines := rendered(raw.String())
	if len(lines) != 4 || lines[0] != `orderly: skipped: standard input line 3: key .k: the field is missing (the line has no "k")` ||
		!strings.HasPrefix(lines[1], "3 records, ") || !strings.HasSuffix(lines[1], "/s") ||
		!strings.HasPrefix(lines[2], "[==============================] 100 %  2 records, ") || lines[3] != "" {
		t.Errorf("the screen shows %q, of %q", lines, raw.String())
	}
}
