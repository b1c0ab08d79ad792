package explain

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// nearMisses use the words of known lines for other things.
var nearMisses = []string{
	"sequence number 45 of the invoice is out of range of the book",
	"ERROR: duplicate key value violates unique constraint \"orders_sequence_number_key\"",
	"WARN nextval: reached maximum value of sequence \"order_id_seq\" (2147483647)",
	"TCP: out-of-order segment, sequence number 99120, next expected 99000",
	"[tcpdump] seq 57:120, ack 12, win 502, length 63: retransmission",
	"INFO ffmpeg: Non-monotonous DTS in output stream 0:1; previous: 812, current: 340; changing to 813",
	"animation sequence 12 restarted out of order",
	"message with sequence number 4711 was delivered to mailbox 12",
	"DHCP: lease expired, requesting a new one after 120000 ms",
	"Expiring 48 sessions for user alice: idle for 30000 ms",
	"expiring cache entry orders-9: 120012 ms old",
	"cancelled in-flight HTTP request with correlation id 82",
	"Cancelled in-flight download of node 3 due to disconnect",
	"REQUEST_TIMED_OUT while calling https://payments.example/api/charge",
	"net::ERR_TIMED_OUT; NETWORK_EXCEPTION thrown by axios",
	"HTTP 400 INVALID_REQUEST: field amount is required",
	"INVALID_RECORD in row 12 of customers.csv",
	"INVALID_TIMESTAMP in the JWT: used before issued",
	"POLICY_VIOLATION: password is too short",
	"AWS error RESOURCE_NOT_FOUND: no such bucket",
	"java.util.concurrent.TimeoutException: Timeout after 30 s waiting for a database connection",
	"java.net.SocketTimeoutException: Read timed out",
	"com.acme.OutOfOrderSequenceHandler registered",
	"class MyOutOfOrderSequenceExceptionMapper implements ExceptionMapper",
	"const OUT_OF_ORDER_SEQUENCE_NUMBERS_TOTAL = 12",
	"metric app_out_of_order_sequence_number_total 0",
	"feature flag unknown_producer_id_handling is on",
	"the producer of this film is unknown; id 59",
	"error code 45: printer out of paper",
	"exit status 22",
	"member 25 of the family plan has been removed",
	"the group is being rebalanced by the fund's manager",
	"rebalancing portfolio 27: done",
	"shrinking image from 1920x1080 to 640x480",
	"Truncating table staging_orders",
	"truncating string to 255 characters",
	"truncation detected in upload part 3, retrying",
	"Resetting offset of the camera to 0,0",
	"resetting sequence of invoice numbers for the new year",
	"fetch position of robot arm 3 is out of range",
	"git: your branch is behind 'origin/main' and can be fast-forwarded",
	"commit failed: nothing to commit, working tree clean",
	"Commit of transaction 812 completed in 3 ms",
	"database transaction was fenced off by the lock manager",
	"election of the works council: unclean ballot found",
	"new leader elected in raft term 9: node 2",
	"etcd: leader changed from 3 to 1, epoch 7",
	"zookeeper: session 0x1 expired, reconnecting",
	"redis: LOADING Redis is loading the dataset in memory",
	"rabbitmq: channel closed, PRECONDITION_FAILED - unknown delivery tag 57",
	"nats: slow consumer, messages dropped",
	"postgres: could not serialize access due to concurrent update",
	"pulsar: producer orders-1 was already closed",
	"the broker returned a better offer for house 12",
	"insurance broker: policy number 4003 set to active",
	"message size too large for SMS: 200 characters",
	"\"poll interval\" of the thermometer is 300000 ms",
	"lost previously assigned seat 12A",
	"idempotence of the PUT handler is tested",
	"Idempotency-Key reused with another body",
	"fatal error: concurrent map writes",
	"Fatal error: Uncaught TypeError in index.php:12",
	"fatal: unable to access repository",
	"timed out 4+0 players in lobby 2",
	"kernel: EXT4-fs (sda1): re-mounted. Opts: errors=remount-ro",
	"audit: type=1400 apparmor=\"DENIED\" operation=\"open\"",
	"nginx: upstream timed out (110: Connection timed out) while reading response header",
	"sshd: Failed password for invalid user admin from 203.0.113.9 port 4711",
	"systemd[1]: Started Daily apt upgrade and clean activities.",
	"kubelet: Liveness probe failed: HTTP probe failed with statuscode: 503",
	// Kafka's own, and nothing is wrong.
	"[2026-11-20 03:00:00,000] INFO [GroupCoordinator 1]: Stabilized group billing generation 12 (__consumer_offsets-3) with 4 members (kafka.coordinator.group.GroupCoordinator)",
	"[2026-11-20 03:00:00,000] INFO [Partition orders-5 broker=1] Expanding ISR from 1,2 to 1,2,3 (kafka.cluster.Partition)",
	"[2026-11-20 03:00:00,000] INFO [ProducerStateManager partition=orders-5] Wrote producer snapshot at offset 812 with 3 producer ids in 2 ms. (org.apache.kafka.storage.internals.log.ProducerStateManager)",
	"[Consumer clientId=c, groupId=g] Successfully joined group with generation Generation{generationId=12, memberId='c-1', protocol='cooperative-sticky'}",
	"[Consumer clientId=c, groupId=g] Setting offset for partition orders-6 to the committed offset FetchPosition{offset=12}",
	"[Consumer clientId=c, groupId=g] Adding newly assigned partitions: orders-0, orders-1",
	"[Consumer clientId=c, groupId=g] Revoke previously assigned partitions orders-0",
	"[Producer clientId=p] Cluster ID: 5xrTAbnyR7SX0bAM2iLmuQ",
	"[Producer clientId=p] Closing the Kafka producer with timeoutMillis = 9223372036854775807 ms.",
	"\tenable.idempotence = true",
	"\tmax.in.flight.requests.per.connection = 5",
	"\tmax.poll.interval.ms = 300000",
	"ProducerConfig values: acks = -1, delivery.timeout.ms = 120000",
	"%6|1763600000.123|GETSUBSCRIPTIONS|rdkafka#producer-1| [thrd:main]: Telemetry client instance id changed",
	"%7|1763600000.123|GETPID|rdkafka#producer-1| [thrd:x]: Acquired PID{Id:4003,Epoch:0} (previous PID{Invalid})",
	"[sarama] producer/broker/2 starting up",
	"[sarama] producer/leader/orders/3 selected broker 2",
	"[INFO] joined, balancing group; group: billing, member_id: m-1, instance_id: <nil>, generation: 4, balance_protocol: cooperative-sticky, leader: true",
	`time=2026-11-20T03:12:44Z level=INFO msg="orderly: partition assigned" group=billing topic=orders partition=3 token=9 offset=99`,
}

// ordinary are forms of everyday lines, filled with random words and numbers.
var ordinary = []string{
	"%s INFO handled order %d of customer %s in %d ms",
	"%s DEBUG http: GET /v1/orders/%d?customer=%s 200 %dms",
	`{"ts":"%s","level":"info","seq":%d,"user":"%s","took_ms":%d}`,
	"%s WARN retry %d of job %s in %d s",
	"%s ERROR payment %d of %s refused: insufficient funds (%d)",
	"I1120 %s %d controller.go:114] sync of %s done in %d ms",
}

// No line that is about something else is taken for a known one.
func TestUnrelatedLines(t *testing.T) {
	lines := append([]string{}, nearMisses...)
	const seed = 20261121
	rnd := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("alice bob partition sequence producer epoch offset leader group commit timeout broker member instance fenced topic orders-3 number batch")
	for len(lines) < 1200 {
		form := ordinary[rnd.IntN(len(ordinary))]
		who := words[rnd.IntN(len(words))] + " " + words[rnd.IntN(len(words))]
		lines = append(lines, fmt.Sprintf(form, fmt.Sprintf("2026-11-20T03:%02d:%02dZ", rnd.IntN(60), rnd.IntN(60)), rnd.IntN(1e6), who, rnd.IntN(1e5)))
	}
	if len(nearMisses) < 80 {
		t.Fatalf("%d near misses", len(nearMisses))
	}
	for _, line := range lines {
		if r := scanText(line); len(r.Findings) != 0 {
			t.Errorf("taken for %v: %s", ids(r), line)
		}
	}
	// Nor does one lend another its meaning.
	if r := scanText(strings.Join(lines, "\n")); len(r.Findings) != 0 || r.Recognised != 0 || r.Lines != int64(len(lines)) {
		t.Errorf("together: %v of %d lines, %d read", ids(r), len(lines), r.Lines)
	}
}
