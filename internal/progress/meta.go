package progress

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
)

// Version is the version of the text that Encode writes. Decode reads it and
// the one before it; there is none before 1.
const Version = 1

const (
	// DefaultLimit is Kafka's default for offset.metadata.max.bytes.
	DefaultLimit = 4096
	// MinLimit is the lowest limit that always carries version, token and topic id.
	MinLimit = 120

	// attemptsShare is the part of the limit, one in so many, that attempts may
	// take before done-ahead: 512 of 4,096 characters. Repeating done work costs
	// time; forgetting attempts lets a record that kills its process do so again.
	attemptsShare = 8
)

// Meta is what the metadata of an offset commit says. All offsets are absolute
// here; the text holds them relative to the committed watermark.
type Meta struct {
	Present bool     // false when there was no metadata; Encode does not look at it
	Token   int64    // the fencing token of the owner that committed
	TopicID [16]byte // of the source topic; all zero when the broker gives none
	Clean   bool     // the last release of the partition was clean
	Unclean int      // ends in a row that were not, at this same watermark

	CompleteUpTo int64     // nothing is said about offsets from here on
	Ahead        []Run     // offsets done ahead: sorted, apart, in [watermark, CompleteUpTo)
	Attempts     []Attempt // of failed records that are not settled, sorted by offset

	// Extra are fields of this version that this release does not know. They are
	// written back unchanged, so that a release that knows them finds them again.
	Extra []Field
}

// Attempt is how often the record at Offset was tried.
type Attempt struct {
	Offset int64
	Count  int
}

// Field is one tagged field of the text.
type Field struct{ Tag, Value string }

// Dropped counts what did not fit. Everything dropped costs repetition or
// knowledge, never a record.
type Dropped struct {
	Ahead    int64 // offsets done ahead (offsets without a record in between included)
	Attempts int   // attempts
	Extra    int   // fields that this release does not know
}

// Encode writes m as the metadata of a commit of watermark: ASCII, at most limit
// characters. Room is given in this order: version, token, topic id, the two
// facts about releases; Extra; attempts, up to an eighth of the limit; done-ahead;
// the other attempts. Attempts and done-ahead that do not fit are cut at the high
// end, CompleteUpTo with them. What lies below watermark is settled and left out.
//
// The error is for arguments that no Decode and no Snapshot produce: a limit
// below MinLimit, a negative watermark, runs that are not sorted and apart, an
// Extra field that cannot be written.
func Encode(watermark int64, m Meta, limit int) (string, Dropped, error) {
	var dropped Dropped
	if err := check(watermark, m, limit); err != nil {
		return "", dropped, err
	}
	b := make([]byte, 0, 256)
	b = append(b, magic...)
	b = strconv.AppendInt(b, Version, 10)
	b = appendNumber(b, tagToken, m.Token)
	b = appendNumber(b, tagWatermark, watermark)
	if m.TopicID != [16]byte{} {
		b = appendBytes(b, tagTopicID, m.TopicID[:])
	}
	if m.Clean {
		b = appendNumber(b, tagClean, 1)
	}
	if m.Unclean > 0 {
		b = appendNumber(b, tagUnclean, int64(min(m.Unclean, math.MaxInt32)))
	}
	limit -= checksumLen
	for _, f := range m.Extra {
		if len(b)+f.size() <= limit {
			b = f.append(b)
		} else {
			dropped.Extra++
		}
	}

	room := limit - len(b)
	attempts := Unsettled(watermark, m.Attempts)
	share := min(room, (limit+checksumLen)/attemptsShare)
	rawAttempts, kept := packAttempts(watermark, attempts, rawRoom(share))

	upTo := max(watermark, m.CompleteUpTo)
	aheadRoom := room - bytesSize(rawAttempts) - numberSize(tagUpTo, upTo-watermark)
	ahead := packAhead(watermark, upTo, m.Ahead, rawRoom(aheadRoom))
	dropped.Ahead = ahead.dropped
	if ahead.upTo > watermark && aheadRoom >= 0 {
		b = appendNumber(b, tagUpTo, ahead.upTo-watermark)
		if len(ahead.raw) > 0 {
			b = appendBytes(b, ahead.tag, ahead.raw)
		}
	}

	if kept < len(attempts) {
		rawAttempts, kept = packAttempts(watermark, attempts, rawRoom(limit-len(b)))
	}
	dropped.Attempts = len(attempts) - kept
	if len(rawAttempts) > 0 {
		b = appendBytes(b, tagAttempts, rawAttempts)
	}
	return string(appendChecksum(b)), dropped, nil
}

func check(watermark int64, m Meta, limit int) error {
	if limit < MinLimit {
		return fmt.Errorf("progress: a limit of %d characters cannot carry the fencing token: at least %d are needed;"+
			" raise offset.metadata.max.bytes on the brokers", limit, MinLimit)
	}
	if watermark < 0 {
		return fmt.Errorf("progress: watermark %d cannot be committed: it is not an offset;"+
			" resolve the start of the partition before the first commit", watermark)
	}
	for i, run := range m.Ahead {
		if run.From >= run.To || i > 0 && run.From < m.Ahead[i-1].To {
			return fmt.Errorf("progress: done-ahead run %d, [%d, %d), is empty or not above the one before it;"+
				" pass them sorted and apart, as a Snapshot does", i, run.From, run.To)
		}
	}
	for _, f := range m.Extra {
		if !validTag(f.Tag) || !validValue(f.Value) || knownTag(f.Tag) {
			return fmt.Errorf("progress: extra field %q=%q cannot be written: a tag is 1 to 8 of a-z and 0-9 that this version does not use itself,"+
				" a value printable ASCII without space and semicolon; pass on only what Decode returned", f.Tag, f.Value)
		}
	}
	return nil
}

// Decode reads the metadata of a commit of watermark. An empty text is no
// metadata: a Meta that is not Present, and no error. The errors are ErrForeign,
// *DamagedError, *NewerError and *MovedError; after each of them the caller goes
// on without what the text might have said, and warns. With a *MovedError, and
// only then, the Meta holds what does not depend on the offset.
//
// Memory is proportional to the length of s, whatever s says.
func Decode(watermark int64, s string) (Meta, error) {
	if s == "" {
		return Meta{}, nil
	}
	fields, err := split(s)
	if err != nil {
		return Meta{}, err
	}
	d := decoder{meta: Meta{Present: true}, watermark: watermark, committed: watermark}
	// The offset first: the other fields are relative to it.
	for _, f := range fields {
		if f.Tag == tagWatermark {
			d.written = true
			d.watermark = d.number(f, 0, math.MaxInt64)
		}
	}
	if d.err == nil && !d.written {
		d.err = &DamagedError{At: len(s) - checksumLen, Field: tagWatermark, Reason: "the field is missing"}
	}
	for _, f := range fields {
		if d.err != nil {
			return Meta{}, d.err
		}
		d.field(f)
	}
	if err := d.finish(len(s) - checksumLen); err != nil {
		return Meta{}, err
	}
	if d.watermark != d.committed {
		m := d.meta
		return Meta{Present: true, Token: m.Token, TopicID: m.TopicID, Extra: m.Extra},
			&MovedError{Written: d.watermark, Committed: d.committed}
	}
	return d.meta, nil
}

// decoder collects the fields of one text; the first error stays.
type decoder struct {
	meta      Meta
	watermark int64 // that the text was written for
	committed int64 // that it was found at
	written   bool
	seen      [256]bool // known tags met; they are one character each
	ahead     *located  // waits for CompleteUpTo
	err       error
}

func (d *decoder) field(f located) {
	if !knownTag(f.Tag) {
		d.meta.Extra = append(d.meta.Extra, f.Field)
		return
	}
	if d.seen[f.Tag[0]] {
		d.damaged(f, "the field is there twice")
		return
	}
	d.seen[f.Tag[0]] = true
	switch f.Tag {
	case tagToken:
		d.meta.Token = d.number(f, math.MinInt64, math.MaxInt64)
	case tagTopicID:
		if raw := d.bytes(f); len(raw) == len(d.meta.TopicID) {
			copy(d.meta.TopicID[:], raw)
		} else {
			d.damaged(f, "a topic id has 16 bytes")
		}
	case tagClean:
		d.meta.Clean = d.number(f, 1, 1) == 1
	case tagUnclean:
		d.meta.Unclean = int(d.number(f, 1, math.MaxInt32))
	case tagUpTo:
		d.meta.CompleteUpTo = d.watermark + d.number(f, 0, math.MaxInt64-d.watermark)
	case tagBitmap, tagRuns:
		if d.ahead != nil {
			d.damaged(f, "done-ahead is there twice")
		}
		d.ahead = &f
	case tagAttempts:
		attempts, reason := unpackAttempts(d.watermark, d.bytes(f))
		if reason != "" {
			d.damaged(f, reason)
		}
		d.meta.Attempts = attempts
	}
}

func (d *decoder) finish(end int) error {
	if d.err == nil && !d.seen[tagToken[0]] {
		d.err = &DamagedError{At: end, Field: tagToken, Reason: "the field is missing"}
	}
	d.meta.CompleteUpTo = max(d.meta.CompleteUpTo, d.watermark)
	if d.err == nil && d.ahead != nil {
		unpack := unpackRuns
		if d.ahead.Tag == tagBitmap {
			unpack = unpackBitmap
		}
		ahead, reason := unpack(d.watermark, d.meta.CompleteUpTo, d.bytes(*d.ahead))
		if reason != "" {
			d.damaged(*d.ahead, reason)
		}
		d.meta.Ahead = ahead
	}
	return d.err
}

func (d *decoder) number(f located, low, high int64) int64 {
	n, err := strconv.ParseInt(f.Value, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != f.Value {
		d.damaged(f, "it is not a number as this version writes it")
		return low
	}
	if n < low || n > high {
		d.damaged(f, "the number is out of range")
		return low
	}
	return n
}

func (d *decoder) bytes(f located) []byte {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(f.Value)
	if err != nil {
		d.damaged(f, "it is not base64 without padding")
		return nil
	}
	return raw
}

func (d *decoder) damaged(f located, reason string) {
	if d.err == nil {
		d.err = &DamagedError{At: f.at, Field: f.Tag, Reason: reason}
	}
}
