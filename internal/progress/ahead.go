package progress

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// packed is one way to write done-ahead, as far as it fits.
type packed struct {
	tag     string
	raw     []byte
	upTo    int64 // below it the text is complete
	dropped int64 // offsets done ahead that did not fit
}

// packAhead writes the runs within room bytes, in the form that keeps more, or
// is shorter when both keep as much.
func packAhead(watermark, upTo int64, runs []Run, room int) packed {
	runs = clip(watermark, upTo, runs)
	if len(runs) == 0 {
		return packed{tag: tagRuns, upTo: upTo}
	}
	b, r := packBitmap(watermark, upTo, runs, room), packRuns(watermark, upTo, runs, room)
	if order := cmp.Or(cmp.Compare(b.dropped, r.dropped), cmp.Compare(len(b.raw), len(r.raw))); order < 0 {
		return b
	}
	return r
}

// clip returns the part of sorted runs in [watermark, upTo), runs that touch
// made one. It copies only when it must change something.
func clip(watermark, upTo int64, runs []Run) []Run {
	clean := len(runs) == 0 || runs[0].From >= watermark && runs[len(runs)-1].To <= upTo
	for i := 1; clean && i < len(runs); i++ {
		clean = runs[i-1].To < runs[i].From
	}
	if clean {
		return runs
	}
	var out []Run
	for _, run := range runs {
		run = Run{max(run.From, watermark), min(run.To, upTo)}
		if run.From >= run.To {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == run.From {
			out[n-1].To = run.To
		} else {
			out = append(out, run)
		}
	}
	return out
}

func packBitmap(watermark, upTo int64, runs []Run, room int) packed {
	// As many bytes as the last run needs, if they fit. Divided first: a window
	// may be as wide as an offset is long.
	need := (runs[len(runs)-1].To-watermark-1)/8 + 1
	p := packed{tag: tagBitmap, upTo: upTo}
	size := need
	if size > int64(room) {
		size = int64(room)
		p.upTo = min(upTo, watermark+8*size)
	}
	p.raw = make([]byte, size)
	for _, run := range runs {
		from, to := run.From-watermark, min(run.To, p.upTo)-watermark
		p.dropped += run.To - max(run.From, min(run.To, p.upTo))
		for from < to {
			// From here to the end of the byte, or of the run.
			n := min(8-from%8, to-from)
			p.raw[from/8] |= (1<<n - 1) << (from % 8)
			from += n
		}
	}
	return p
}

func packRuns(watermark, upTo int64, runs []Run, room int) packed {
	p := packed{tag: tagRuns, upTo: upTo}
	at := watermark
	for i, run := range runs {
		size := len(p.raw)
		p.raw = binary.AppendUvarint(p.raw, uint64(run.From-at))
		p.raw = binary.AppendUvarint(p.raw, uint64(run.To-run.From))
		if len(p.raw) > room {
			p.raw, p.upTo = p.raw[:size], run.From
			for _, lost := range runs[i:] {
				p.dropped += lost.To - lost.From
			}
			break
		}
		at = run.To
	}
	return p
}

const beyond = "it goes beyond the offset up to which it is complete"

// The unpack functions return runs, or the reason why the bytes are damaged.

func unpackBitmap(watermark, upTo int64, raw []byte) ([]Run, string) {
	var runs []Run
	end := upTo - watermark // positions are relative until they are known not to overflow
	done := false
	for i, b := range raw {
		for bit := 0; ; {
			// Bits like the last one, then the first that differs.
			rest := b >> bit
			if done {
				rest = ^rest
			}
			if bit += min(bits.TrailingZeros8(rest), 8-bit); bit == 8 {
				break
			}
			at := int64(i)*8 + int64(bit)
			switch {
			case at > end || at == end && !done:
				return nil, beyond
			case done:
				runs[len(runs)-1].To = watermark + at
			default:
				runs = append(runs, Run{From: watermark + at})
			}
			done = !done
		}
	}
	if done {
		at := int64(len(raw)) * 8
		if at > end {
			return nil, beyond
		}
		runs[len(runs)-1].To = watermark + at
	}
	return runs, ""
}

func unpackRuns(watermark, upTo int64, raw []byte) ([]Run, string) {
	var runs []Run
	at := watermark
	for len(raw) > 0 {
		gap, rest := varint(raw)
		length, rest := varint(rest)
		if rest == nil {
			return nil, "a length is missing or too long"
		}
		raw = rest
		if length == 0 || gap == 0 && len(runs) > 0 {
			return nil, "a length is zero"
		}
		// upTo never is below at, so nothing here can overflow.
		if gap > uint64(upTo-at) || length > uint64(upTo-at)-gap {
			return nil, beyond
		}
		from := at + int64(gap)
		at = from + int64(length)
		runs = append(runs, Run{from, at})
	}
	return runs, ""
}

// varint reads one number and returns what follows it; nil, which stays nil, when there is none.
func varint(raw []byte) (uint64, []byte) {
	n, size := binary.Uvarint(raw)
	if size <= 0 {
		return 0, nil
	}
	return n, raw[size:]
}

// Unsettled returns the attempts worth writing: at or above the watermark, at
// least one, sorted, one of an offset. It copies only when it must.
func Unsettled(watermark int64, attempts []Attempt) []Attempt {
	clean := true
	for i, a := range attempts {
		clean = clean && counts(watermark, a) && a.Count <= math.MaxInt32 && (i == 0 || attempts[i-1].Offset < a.Offset)
	}
	if clean {
		return attempts
	}
	var out []Attempt
	for _, a := range attempts {
		if counts(watermark, a) {
			out = append(out, Attempt{a.Offset, min(a.Count, math.MaxInt32)})
		}
	}
	// Of two counts for one offset the higher one stays: fewer attempts are
	// left, but none is given twice.
	slices.SortFunc(out, func(a, b Attempt) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Count, a.Count))
	})
	return slices.CompactFunc(out, func(a, b Attempt) bool { return a.Offset == b.Offset })
}

// counts says whether an attempt is one to write. The highest int64 is no
// record's offset; see Ring.
func counts(watermark int64, a Attempt) bool {
	return a.Offset >= watermark && a.Offset < math.MaxInt64 && a.Count > 0
}

// packAttempts writes the lowest attempts that fit into room bytes and returns
// their number.
func packAttempts(watermark int64, attempts []Attempt, room int) ([]byte, int) {
	var raw []byte
	at := watermark
	for i, a := range attempts {
		size := len(raw)
		raw = binary.AppendUvarint(raw, uint64(a.Offset-at))
		raw = binary.AppendUvarint(raw, uint64(a.Count))
		if len(raw) > room {
			return raw[:size], i
		}
		at = a.Offset
	}
	return raw, len(attempts)
}

func unpackAttempts(watermark int64, raw []byte) ([]Attempt, string) {
	var attempts []Attempt
	at := watermark
	for len(raw) > 0 {
		distance, rest := varint(raw)
		count, rest := varint(rest)
		if rest == nil {
			return nil, "a number is missing or too long"
		}
		raw = rest
		if count == 0 || count > math.MaxInt32 {
			return nil, "a count is out of range"
		}
		if distance >= uint64(math.MaxInt64-at) || distance == 0 && len(attempts) > 0 {
			return nil, "an offset is out of range"
		}
		at += int64(distance)
		attempts = append(attempts, Attempt{at, int(count)})
	}
	return attempts, ""
}
