package orderly

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderly-go/orderly/internal/produce"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire watches the client's requests, to tell a record that was surely not
// written from one that may have been. The client's error alone does not say it:
// a batch can be answered with an error although an earlier try, which was never
// answered, has written it.
type wire struct {
	begin   time.Time
	retries atomic.Int64 // what comes before something is tried again: waits, and looks at the metadata
	backoff func(int) time.Duration
	answers sync.Map              // node → *atomic.Int64: since begin, when it last answered a produce request
	refused atomic.Pointer[error] // the last connection that could not be made; nil after one that could
}

// wireMark is what there was when a run was handed over.
type wireMark struct {
	at      time.Duration // since begin
	retries int64
	leader  int32 // of the partition
}

func (w *wire) mark(leader int32) wireMark {
	return wireMark{time.Since(w.begin), w.retries.Load(), leader}
}

// OnBrokerE2E sees produce requests that were answered.
func (w *wire) OnBrokerE2E(b kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	switch {
	case key == int16(kmsg.Metadata):
		w.retries.Add(1)
	case key != int16(kmsg.Produce) || e.BytesWritten == 0 || e.WriteErr != nil || e.ReadErr != nil:
	default:
		at, ok := w.answers.Load(b.NodeID)
		if !ok {
			at, _ = w.answers.LoadOrStore(b.NodeID, new(atomic.Int64))
		}
		at.(*atomic.Int64).Store(int64(time.Since(w.begin)))
	}
}

// wasTried reports that a record which the client held until we gave it up may have
// been answered since mark, with an error after which it is tried again. The client
// does not tell which: most say that nothing was written, but a broker whose disk is
// full (KAFKA_STORAGE_ERROR) may have written before it failed.
func (w *wire) wasTried(since wireMark, leader int32) bool {
	tried := false
	w.answers.Range(func(node, at any) bool {
		// Of leaders in between nothing is known.
		ours := leader != since.leader || node == leader
		tried = ours && time.Duration(at.(*atomic.Int64).Load()) >= since.at
		return !tried
	})
	return tried
}

// OnBrokerConnect keeps why no broker can be reached, to name it.
func (w *wire) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	switch {
	case err == nil:
		w.refused.Store(nil)
	case !errors.Is(err, context.Canceled):
		w.refused.Store(&err)
	}
}

// retryBackoff is the client's backoff, counted: an answer that leaves the outcome
// open (timed out, or too few replicas after the append) is followed by one, or by a
// look at the metadata.
func (w *wire) retryBackoff(tries int) time.Duration {
	w.retries.Add(1)
	return w.backoff(tries)
}

// rejections are answers by which a broker refuses a batch before it appends
// anything of it.
var rejections = []error{
	kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.CorruptMessage,
	kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType, kerr.InvalidRequiredAcks, kerr.PolicyViolation,
	kerr.InvalidTopicException, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
}

// outcome says what is known of a record that the client has failed since mark.
//
// Not written is said of two kinds only. Records that the client failed for a
// reason of its own, as when we gave the run up: it does so with what was never
// sent, or whose last answer was that it is not written, and keeps all else until
// it knows, above all what was sent and not answered. And batches that the broker
// rejected, when nothing had to be tried again since: an earlier try may have been
// written. Anything else, an unknown server error above all, may have been written.
func (w *wire) outcome(err error, since wireMark, leader int32, gaveUp bool) produce.Outcome {
	if errors.Is(err, kgo.ErrClientClosed) {
		return produce.MaybeWritten
	}
	if !answered(err) || gaveUp && kerr.IsRetriable(err) {
		if w.wasTried(since, leader) {
			return produce.MaybeWritten
		}
		return produce.NotWritten
	}
	if w.retries.Load() == since.retries {
		for _, r := range rejections {
			if errors.Is(err, r) {
				return produce.NotWritten
			}
		}
	}
	return produce.MaybeWritten
}

// answered reports that an error came from a broker.
func answered(err error) bool { return errors.As(err, new(*kerr.Error)) }
