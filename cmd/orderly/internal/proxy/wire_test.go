package proxy

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A wire is a client without a library.
type wire struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func dialWire(t testing.TB, addr string) *wire {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &wire{t, nc, bufio.NewReader(nc)}
}

func (w *wire) send(req kmsg.Request, version int16) {
	w.t.Helper()
	req.SetVersion(version)
	if _, err := w.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("wire")).AppendRequest(nil, req, 42)); err != nil {
		w.t.Fatal(err)
	}
}

// closed reports that the proxy closes the connection without an answer.
func (w *wire) closed() bool {
	_, err := readFrame(w.in)
	return err != nil
}

// On a silent connection nothing more comes, until it ends.
func TestSilence(t *testing.T) {
	var faults []Fault
	for _, text := range []string{"silent-ack:api=ApiVersions", "lost-ack:api=FindCoordinator"} {
		f, err := ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		faults = append(faults, f)
	}
	c := startCluster(t, 1)
	p := startProxy(t, c.ListenAddrs(), Config{Faults: faults})
	w := dialWire(t, p.Addr())
	w.send(kmsg.NewPtrApiVersionsRequest(), 0)
	w.send(kmsg.NewPtrMetadataRequest(), 9)
	w.send(kmsg.NewPtrFindCoordinatorRequest(), 2)
	if frame, err := readFrame(w.in); err == nil {
		t.Errorf("%q came", frame)
	}
	if hits := p.all(); len(hits) != 2 {
		t.Errorf("%+v", hits)
	}
}

// A client that asks with a version of ApiVersions that the proxy does not know is
// told in version 0 which it does, and asks again.
func TestTooNewApiVersions(t *testing.T) {
	c := startCluster(t, 1)
	p := startProxy(t, c.ListenAddrs(), Config{})
	w := dialWire(t, p.Addr())
	w.send(kmsg.NewPtrApiVersionsRequest(), 99)
	frame, err := readFrame(w.in)
	if err != nil {
		t.Fatal(err)
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(frame[4:]); err != nil || correlationOf(frame) != 42 || resp.ErrorCode != errUnsupportedVersion || resp.ApiKeys[0].MaxVersion != requests[apiVersions].highest {
		t.Errorf("%+v, %v", resp, err)
	}
	again := kmsg.NewPtrApiVersionsRequest()
	again.ClientSoftwareName, again.ClientSoftwareVersion = "wire", "1"
	w.send(again, resp.ApiKeys[0].MaxVersion)
	if frame, err = readFrame(w.in); err != nil {
		t.Fatal(err)
	}
	resp.SetVersion(resp.ApiKeys[0].MaxVersion)
	if err := resp.ReadFrom(frame[4:]); err != nil || resp.ErrorCode != 0 || len(resp.ApiKeys) < 20 {
		t.Errorf("%+v, %v", resp, err)
	}
}

// What the proxy cannot read it does not pass on, when an address might be in the
// answer; and it names it.
func TestUnreadableRequests(t *testing.T) {
	c := startCluster(t, 1)
	for key, want := range map[int16]string{
		apiMetadata: "sends Metadata version 50, and the proxy reads up to", apiProduce: "sends Produce version 50", 120: "sends request 120, which the proxy does not know",
	} {
		p := startProxy(t, c.ListenAddrs(), Config{})
		w := dialWire(t, p.Addr())
		frame := binary.BigEndian.AppendUint16(nil, uint16(key))
		frame = binary.BigEndian.AppendUint16(frame, 50)
		frame = append(binary.BigEndian.AppendUint32(frame, 1), 0, 4, 'w', 'i', 'r', 'e', 0)
		if err := writeFrame(w, frame); err != nil {
			t.Fatal(err)
		}
		if !w.closed() {
			t.Errorf("request %d was answered", key)
		}
		if obstacles := p.Facts().Obstacles; len(obstacles) != 1 || !strings.Contains(obstacles[0].Error(), want) {
			t.Errorf("%v, want %s", obstacles, want)
		}
	}
}

// What is not Kafka at all is named, and costs nothing.
func TestNotKafka(t *testing.T) {
	c := startCluster(t, 1)
	p := startProxy(t, c.ListenAddrs(), Config{})
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00\x00\x00\x02ab"} {
		w := dialWire(t, p.Addr())
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if !w.closed() {
			t.Errorf("%q was answered", text)
		}
	}
	if troubles := p.Facts().Troubles; !slices.ContainsFunc(troubles, func(s string) bool { return strings.Contains(s, "this is not Kafka's protocol") }) {
		t.Errorf("%q", troubles)
	}
}

// Who does not come through the proxy is seen by what does not: connections and
// records by client id.
func TestEscape(t *testing.T) {
	c := startCluster(t, 3)
	p := startProxy(t, c.ListenAddrs(), Config{})
	w := dialWire(t, p.Addr()) // it asks here ...
	w.send(kmsg.NewPtrMetadataRequest(), 9)
	if w.closed() {
		t.Fatal("no answer")
	}
	write(t, c.ListenAddrs()[0], 100, safe...) // ... and writes elsewhere
	f := p.Facts()
	if len(f.Clients) != 1 || f.Clients[0].Client != "wire" || f.Clients[0].Handed != 1 || f.Clients[0].Connections != 1 || f.Clients[0].ProducedRecords != 0 || f.Clients[0].Requests["Metadata"] != 1 {
		t.Errorf("%+v", f.Clients)
	}
}

// Where a leader has gone, brokers tell with their own addresses in the answers to
// what is written and read (KIP-951): a client that follows them stays here, too.
func TestLeaderMoves(t *testing.T) {
	c := startCluster(t, 3)
	p := startProxy(t, c.ListenAddrs(), Config{})
	produce := client(t, []string{p.Addr()}, kgo.ClientID("mover"), kgo.DefaultProduceTopic(testTopic), kgo.MetadataMinAge(time.Minute), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	fetch := client(t, []string{p.Addr()}, kgo.ClientID("follower"), kgo.ConsumeTopics(testTopic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const rounds, each = 6, 40
	read := 0
	for round := range rounds {
		for i := range each {
			if err := produce.ProduceSync(ctx, numberedRecord(round*each+i)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		for read < (round+1)*each {
			fs := fetch.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("read %d", read)
			}
			read += fs.NumRecords()
		}
		for part := range int32(testParts) {
			if err := c.MoveTopicPartition(testTopic, part, int32(round)%3); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range p.Facts().Clients {
		if f.Client == "mover" && f.ProducedRecords < rounds*each || f.Client == "follower" && f.FetchedRecords < rounds*each || f.Client == "mover" && f.Requests["Metadata"] > 2 {
			t.Errorf("%+v", f)
		}
	}
}

// twoFreePorts finds a port that is free, and the next one is.
func twoFreePorts(t *testing.T) *net.TCPAddr {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := first.Addr().(*net.TCPAddr)
		next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", addr.Port+1))
		_ = first.Close()
		if err == nil {
			_ = next.Close()
			return addr
		}
	}
	t.Fatal("no two free ports beside each other in 100 tries")
	return nil
}

// A port that is given makes those of the brokers known before they are met. An
// address that others reach has to be allowed by name.
func TestListen(t *testing.T) {
	c := startCluster(t, 1)
	addr := twoFreePorts(t)
	if addr.Port < 65000 {
		p := startProxy(t, c.ListenAddrs(), Config{Listen: addr.String()})
		host, port, err := p.relocate(0, "127.0.0.1", 1)
		if p.Addr() != addr.String() || err != nil || host != "127.0.0.1" || int(port) != addr.Port+1 {
			t.Errorf("%s, %s:%d, %v", p.Addr(), host, port, err)
		}
		if _, _, err := p.relocate(70000, "127.0.0.1", 1); err == nil || !strings.Contains(err.Error(), "begin with a lower port") {
			t.Error(err)
		}
	}
	for listen, want := range map[string]string{"0.0.0.0:0": "no address of a single machine", "192.0.2.1:0": "allow it by name", "example.org:0": "allow it by name", ":9092": "host:port", "127.0.0.1": "host:port"} {
		if _, err := Start(t.Context(), Config{Upstream: c.ListenAddrs(), Listen: listen}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", listen, err, want)
		}
	}
	if _, err := Start(t.Context(), Config{Upstream: c.ListenAddrs(), Listen: "192.0.2.1:0", Expose: true}); err == nil || !strings.Contains(err.Error(), "the bootstrap listener: ") {
		t.Errorf("an address that this machine has not: %v", err)
	}
}

// A cluster that is not there, or is none, is said at the start.
func TestNoUpstream(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if nc, err := silent.Accept(); err == nil {
			_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n"))
			_ = nc.Close()
		}
	}()
	for upstream, want := range map[string]string{"127.0.0.1:1": "refused", silent.Addr().String(): "does not answer as a broker does", "nowhere": "an address is host:port"} {
		if _, err := Start(t.Context(), Config{Upstream: []string{upstream}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", upstream, err, want)
		}
	}
	_ = silent.Close()
	<-done
}
