package explain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is no log in text is named, with the way out.
func TestInputIsNamed(t *testing.T) {
	for _, c := range []struct{ name, input, want string }{
		{"empty", "", "is empty"},
		{"binary", "\x00\x01\x02NOT_ENOUGH_REPLICAS", "is binary"},
		{"noise", strings.Repeat("\xff\xfe\x80\x81\x01\x02\x03ab", 300)[2:], "is binary"},
		{"gzip", "\x1f\x8b\x08\x00abc", "gzip -dc FILE | orderly explain -"},
		{"zstd", "\x28\xb5\x2f\xfdabc", "zstd -dc"},
		{"utf-16", "\xff\xfeN\x00O\x00", "UTF-16"},
	} {
		_, err := NewScanner().Read(t.Context(), "FILE", strings.NewReader(c.input))
		var in *InputError
		if !errors.As(err, &in) || !strings.HasPrefix(err.Error(), "FILE: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Text in another 8-bit encoding is text.
	s := NewScanner()
	if _, err := s.Read(t.Context(), "FILE", strings.NewReader("gr\xfc\xdfe NOT_ENOUGH_REPLICAS\nx")); err != nil || len(s.Report("").Findings) != 1 {
		t.Errorf("%v, %v", err, s.Report("").Findings)
	}
	// An error in the middle is given on.
	broken := io.MultiReader(strings.NewReader("a\nb"), errReader{})
	if _, err := NewScanner().Read(t.Context(), "FILE", broken); !errors.Is(err, errDisk) {
		t.Errorf("%v", err)
	}
}

var errDisk = errors.New("disk")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errDisk }

// endless is n bytes of lines, one of which has no end for a long time; in each
// million bytes there is a known one.
type endless struct{ left int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), e.left, 1<<20)
	for i := range b[:n] {
		b[i] = 'x'
	}
	at := e.left
	e.left -= n
	if at>>20 != e.left>>20 && at>>24 != 2 { // 16 MiB without a newline
		copy(b[:n], "\nNOT_ENOUGH_REPLICAS for partition orders-1\n")
	}
	return int(n), nil
}

// A large log, and one with lines of many megabytes, is read in bounded memory; the
// lines that were cut are counted.
func TestLargeLogsNeedLittleMemory(t *testing.T) {
	before := heap()
	s := NewScanner()
	cut, err := s.Read(t.Context(), "FILE", &endless{left: 96 << 20})
	if err != nil {
		t.Fatal(err)
	}
	grown := int64(heap()) - int64(before)
	r := s.Report("FILE")
	if len(r.Findings) != 1 || r.Findings[0].Count < 70 || cut < 70 || grown > 4<<20 {
		t.Errorf("%v, %d cut, %d bytes", r.Findings, cut, grown)
	}
}

// A line is the same however the input comes in pieces.
func TestLinesDoNotDependOnReads(t *testing.T) {
	text := "a\r\n\nbb\n" + strings.Repeat("c", 300<<10) + "\nlast"
	for i, r := range []io.Reader{strings.NewReader(text), iotestOne{strings.NewReader(text)}} {
		l := NewLines("FILE", r)
		var got []string
		for {
			line, err := l.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
		}
		got = append(got, string(l.Rest()))
		if len(got) != 5 || got[0] != "a" || got[1] != "" || got[2] != "bb" || len(got[3]) != maxLine || got[4] != "last" || l.Cut != 1 {
			t.Errorf("reader %d: %d lines, %d cut", i, len(got), l.Cut)
		}
	}
}

type iotestOne struct{ r io.Reader }

func (o iotestOne) Read(b []byte) (int, error) { return o.r.Read(b[:min(len(b), 1000)]) }

// A followed log is read as it grows, over a half line, a cut and a replacement;
// a stack trace is whole; the end of the context is its end.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	write := func(flag int, text string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(os.O_APPEND, "first NOT_ENOUGH_REPLICAS\nhalf NOT_ENOUGH_")
	ctx, stop := context.WithCancel(t.Context())
	tick, seen, done := make(chan time.Time), make(chan string, 100), make(chan error)
	s := NewScanner()
	s.Seen = func(f *Finding) { seen <- fmt.Sprintf("%s x%d", f.Entry.ID, f.Count) }
	go func() {
		_, err := s.Follow(ctx, path, tick)
		done <- err
	}()
	// The first tick begins a look that finds lines, the second one that finds no
	// more and ends the event; the third is taken when that is over.
	look := func() {
		for range 3 {
			tick <- time.Time{}
		}
	}
	expect := func(want string) {
		t.Helper()
		look()
		select {
		case got := <-seen:
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		default:
			t.Errorf("nothing was seen, want %s", want)
		}
		if len(seen) > 0 {
			t.Errorf("%s was seen, too", <-seen)
		}
	}
	expect("not-enough-replicas x1")
	write(os.O_APPEND, "REPLICAS\n")
	expect("not-enough-replicas x2")
	write(os.O_TRUNC, "cut CORRUPT_MESSAGE\n")
	expect("corrupt-message x1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	look() // the path is missing for a while
	write(os.O_APPEND, "new ERROR\norg.apache.kafka.common.errors.ProducerFencedException: x\n\tat a.b(C.java:1)\nCaused by: org.apache.kafka.common.errors.ProducerFencedException: x\n")
	expect("producer-fenced x1")
	write(os.O_APPEND, "no newline KAFKA_STORAGE_ERROR")
	look()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := s.Report(path)
	if got := fmt.Sprint(ids(r)); got != "[not-enough-replicas corrupt-message producer-fenced kafka-storage-error]" {
		t.Errorf("%s", got)
	}
	if _, err := NewScanner().Follow(t.Context(), filepath.Join(t.TempDir(), "absent"), tick); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// The report says how much was read, also when nothing is known.
func TestNothingKnown(t *testing.T) {
	var out bytes.Buffer
	if err := scanText("all\nis\nwell").Write(&out, Options{}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "test: 3 lines, 0 events recognised\nNothing in it is known") {
		t.Errorf("%s", got)
	}
}
