package explain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a log holds, it is read without a panic, within the bounds, and what is
// shown of it is printable text.
func FuzzScan(f *testing.F) {
	for _, k := range knownLines {
		f.Add([]byte(k.text))
	}
	for _, l := range nearMisses {
		f.Add([]byte(l))
	}
	f.Add([]byte(`{"a":{"b":["NOT_ENOUGH_REPLICAS",{"c":"{\"d\":\"CORRUPT_MESSAGE\"}"}]}}`))
	f.Add([]byte("Out of order sequence number for producer 9 at offset 1 in partition a-0: 99999999999999999999 (incoming seq. number), -9 (current end sequence number)"))
	f.Add([]byte("NOT_ENOUGH_REPLICAS\r\n\tat x\nCaused by: \x1b[31m password=x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewScanner()
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			s.Line(line)
		}
		r := s.Report("fuzz")
		for _, fi := range r.Findings {
			if fi.Count < 1 || fi.FirstLine < 1 || fi.LastLine < fi.FirstLine || len(fi.Evidence) == 0 || len(fi.Evidence) > maxEvidence {
				t.Fatalf("%+v", fi)
			}
			for _, ev := range fi.Evidence {
				if len([]rune(ev.Text)) > evidenceRunes+3 || strings.ContainsAny(ev.Text, "\x1b\n\r\x00") || !utf8.ValidString(ev.Text) {
					t.Fatalf("evidence %q", ev.Text)
				}
			}
			if sub := fi.Facts.Subject(); strings.ContainsAny(sub, "\x1b\n\r") || !utf8.ValidString(sub) {
				t.Fatalf("subject %q", sub)
			}
		}
		var out bytes.Buffer
		if err := r.Write(&out, Options{}); err != nil || strings.Contains(out.String(), "\x1b") {
			t.Fatalf("%v: %q", err, out.String())
		}
		if j, err := json.Marshal(r); err != nil || !json.Valid(j) {
			t.Fatalf("%v", err)
		}
		if r, err := Explain(string(data), Unknown); (r == nil) == (err == nil) {
			t.Fatalf("%v, %v", r, err)
		}
	})
}

// The reader of lines gives each byte but those of long lines' ends, whatever comes.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"))
	f.Add(bytes.Repeat([]byte("x"), 3*maxLine))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewScanner()
		if _, err := s.Read(t.Context(), "fuzz", bytes.NewReader(data)); err == nil {
			want := int64(bytes.Count(data, []byte("\n")))
			if last := data[bytes.LastIndexByte(data, '\n')+1:]; len(bytes.TrimRight(last, "\r")) > 0 {
				want++
			}
			if s.lines != want {
				t.Fatalf("%d lines, want %d", s.lines, want)
			}
		}
	})
}
