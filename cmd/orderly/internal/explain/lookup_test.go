package explain

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// A pasted thing is found by its code, by any of its names, and by its text.
func TestExplain(t *testing.T) {
	for _, c := range []struct{ text, id string }{
		{"45", "out-of-order-sequence"},
		{"error 45", "out-of-order-sequence"},
		{" 46\n", "duplicate-sequence"},
		{"OUT_OF_ORDER_SEQUENCE_NUMBER", "out-of-order-sequence"},
		{"out_of_order_sequence_number", "out-of-order-sequence"},
		{"OutOfOrderSequenceException", "out-of-order-sequence"},
		{"org.apache.kafka.common.errors.OutOfOrderSequenceException", "out-of-order-sequence"},
		{"RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER", "out-of-order-sequence"},
		{"sarama.ErrOutOfOrderSequenceNumber", "out-of-order-sequence"},
		{"kerr.OutOfOrderSequenceNumber", "out-of-order-sequence"},
		{"_MSG_TIMED_OUT", "delivery-timed-out"},
		{"kafka server: Messages are rejected since there are fewer in-sync replicas than required", "not-enough-replicas"},
		{"Broker: Broker received an out of order sequence number", "out-of-order-sequence"},
		{"poll-interval", "poll-interval"},
		{"REQUEST_TIMED_OUT", "request-timed-out"},
		{"NETWORK_EXCEPTION: The server disconnected before a response was received.", "network-exception"},
		{"it says INVALID_RECORD, what now", "invalid-record"},
		{"CommitFailedException", "commit-failed"},
		{"maximum poll interval (300000ms) exceeded by 12ms: Application maximum poll interval (300000ms) exceeded", "poll-interval"},
	} {
		r, err := Explain(c.text, Unknown)
		if err != nil || len(r.Entries) == 0 || r.Entries[0].ID != c.id {
			t.Errorf("%q: %v, %v; want %s", c.text, r, err, c.id)
		}
	}
	r, err := Explain("UNSUPPORTED_VERSION", Unknown)
	if err != nil || r.Meaning == nil || r.Meaning.Code != 35 {
		t.Errorf("UNSUPPORTED_VERSION: %v, %v", r, err)
	}
	// Every name of every entry finds an entry that has it.
	for _, e := range entries {
		for _, n := range slices.Concat(e.Names, e.Loose) {
			r, err := Explain(n, Unknown)
			if err != nil || len(r.Entries) == 0 || !slices.Contains(slices.Concat(r.Entries[0].Names, r.Entries[0].Loose), n) {
				t.Errorf("%s of %s is not found: %v", n, e.ID, err)
			}
		}
	}
}

// What is nearly a name suggests it; what is none does not.
func TestNearMissesSuggest(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"OUT_OF_ORDR_SEQUENCE_NUMBER", "OUT_OF_ORDER_SEQUENCE_NUMBER"},
		{"OutOfOrderSequense", "OutOfOrderSequenceException"},
		{"NOT_ENOUGH_REPLICA", "NOT_ENOUGH_REPLICAS"},
		{"PRODUCER_FENCD", "PRODUCER_FENCED"},
		{"INVALID_PRODUCER_EPCOH", "INVALID_PRODUCER_EPOCH"},
	} {
		_, err := Explain(c.text, Unknown)
		var unknown *NotKnownError
		if !errors.As(err, &unknown) || !slices.Contains(unknown.Near, c.want) {
			t.Errorf("%s: %v; want a hint to %s", c.text, err, c.want)
		}
	}
	for _, text := range []string{"", "x", "4711", "-7", "banana split with cream", strings.Repeat("z", 100_000)} {
		_, err := Explain(text, Unknown)
		var unknown *NotKnownError
		if !errors.As(err, &unknown) || len(unknown.Near) != 0 || len(err.Error()) > 1000 {
			t.Errorf("%.40q: %.200v", text, err)
		}
	}
}
