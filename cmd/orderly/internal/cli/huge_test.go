package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// measuredCommand runs a command line in a process of its own, which says at the end
// how large its heap has been.
const measuredCommand = "measured-command"

const heapWas = "the heap has had "

func measured(args []string) int {
	code := Run(context.Background(), "test", args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(os.Stderr, "%s%d bytes\n", heapWas, m.HeapSys) // it never falls
	return code
}

// hugeSize is 1 GiB in the soak.
func hugeSize() int64 {
	if os.Getenv("ORDERLY_SOAK") != "" {
		return 1 << 30
	}
	return 64 << 20
}

// repeat is n bytes of what one gives, called with 0, 1, 2, ...
func repeat(n int64, one func(b []byte, i int) []byte) io.Reader {
	return &repeated{left: n, one: one}
}

type repeated struct {
	left int64
	next int
	rest []byte
	buf  []byte
	one  func([]byte, int) []byte
}

func (r *repeated) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.left <= 0 {
			return 0, io.EOF
		}
		r.buf = r.buf[:0]
		for len(r.buf) < 64<<10 {
			r.buf = r.one(r.buf, r.next)
			r.next++
		}
		r.left -= int64(len(r.buf))
		r.rest = r.buf
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Files and streams of any size and of any content are read in bounded memory: those
// that are no such file are named, and what stands beside them is still read.
func TestHugeInputsNeedLittleMemory(t *testing.T) {
	size := hugeSize()
	word := func(text string) func([]byte, int) []byte {
		return func(b []byte, _ int) []byte { return append(b, text...) }
	}
	record := func(b []byte, i int) []byte {
		// The whole way of records of 100 keys.
		n := i / 5
		b = fmt.Appendf(b, `{"n":%d,"t":"orders","k":"k%d","s":"w","i":%d`, i+1, n%100, n/100+1)
		b = append(b, []string{`,"e":"send"`, `,"e":"ack"`, `,"e":"read"`, `,"e":"poll","m":"a"`, `,"e":"did","m":"a"`}[i%5]...)
		if i%5 > 0 {
			b = fmt.Appendf(b, `,"p":0,"o":%d`, n)
		}
		return append(b, "}\n"...)
	}
	header := strings.NewReader("{\"history\":2}\n")
	good := "bootstrap.servers=k:1\nkey.serializer=s\nacks=1\n"
	for _, c := range []struct {
		name  string
		file  string    // its name; "": standard input
		input io.Reader // nil: nothing but a hole
		args  []string  // FILE is the file, GOOD a configuration beside it
		code  int
		says  []string
		heap  int64 // MiB
	}{
		{"a log of many findings", "app.log", repeat(size/16, func(b []byte, i int) []byte {
			return fmt.Appendf(b, "2026-01-02 03:04:05,678 WARN [Producer clientId=c-%d] Got error produce response on topic-partition orders-%d, retrying. Error: NOT_ENOUGH_REPLICAS\n\tat a.b.C(D.java:1)\n", i%100_000, i)
		}), []string{"explain", "-f", "FILE"}, exitOK, []string{"NOT_ENOUGH_REPLICAS", "of other subjects: no more than 2000"}, 48},
		{"a log of one line", "app.log", repeat(size, word("NOT_ENOUGH_REPLICAS ")), []string{"explain", "-f", "FILE"}, exitOK, []string{"NOT_ENOUGH_REPLICAS"}, 48},
		{"a log of nested JSON", "", repeat(size/16, word(strings.Repeat(`{"a":"{\"a\":[`, 40)+"NOT_ENOUGH_REPLICAS\n")), []string{"explain", "-"}, exitOK, nil, 48},
		{"a log that is a hole", "app.log", nil, []string{"explain", "-f", "FILE"}, exitUsage, []string{"is binary"}, 48},
		{"a configuration", "kafka.properties", repeat(size, word(good)), []string{"doctor", "config", "FILE", "GOOD"}, exitViolated, []string{"kafka.properties  ", "good.properties:3"}, 48},
		{"a configuration that is a hole", "kafka.yml", nil, []string{"doctor", "config", "FILE", "GOOD"}, exitViolated, []string{"kafka.yml  ", "configurations have 1048576 at the most", "good.properties:3"}, 48},
		{"a configuration from standard input", "", repeat(size, word(good)), []string{"doctor", "config", "-", "GOOD"}, exitViolated, []string{"more than 1048576 bytes", "good.properties:3"}, 48},
		{"a history", "run.jsonl", io.MultiReader(header, repeat(size/4, record)), []string{"prove", "check", "FILE"}, exitInconclusive, []string{"INCONCLUSIVE", "100"}, 48},
		{"a history of one line", "run.jsonl", io.MultiReader(strings.NewReader("{\"history\":2}\n"), repeat(size, word(`{"n":1,"w":"`))), []string{"prove", "check", "FILE"}, exitUsage, []string{"rule "}, 256},
		{"a history that is a hole", "run.jsonl", nil, []string{"prove", "check", "FILE"}, exitUsage, []string{"rule length"}, 256},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path, beside := filepath.Join(dir, c.file), filepath.Join(dir, "good.properties")
			if err := os.WriteFile(beside, []byte(good), 0o600); err != nil {
				t.Fatal(err)
			}
			var in io.Reader
			switch {
			case c.file == "":
				in = c.input
			case c.input == nil:
				if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
					t.Fatal(err)
				}
			default:
				f, err := os.Create(path)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(f, c.input)
				if err := errors.Join(err, f.Close()); err != nil {
					t.Fatal(err)
				}
			}
			for i, a := range c.args {
				c.args[i] = strings.NewReplacer("FILE", path, "GOOD", beside).Replace(a)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			var out, told bytes.Buffer
			cmd := exec.CommandContext(t.Context(), self, append([]string{measuredCommand}, c.args...)...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &told
			if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit %d, want %d", got, c.code)
			}
			text := out.String() + told.String()
			for _, s := range c.says {
				if !strings.Contains(text, s) {
					t.Errorf("%q is not said", s)
				}
			}
			_, after, _ := strings.Cut(told.String(), heapWas)
			heap, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(after), " bytes"), 10, 64)
			if err != nil {
				t.Fatalf("%v in %q", err, told.String())
			}
			t.Logf("%d MiB of input, %d MiB of heap, %s", size>>20, heap>>20, cmd.ProcessState.UserTime())
			if heap > c.heap<<20 {
				t.Errorf("the heap had %d MiB, want %d at the most", heap>>20, c.heap)
			}
			if t.Failed() {
				t.Log(text[max(0, len(text)-3000):])
			}
		})
	}
}
