package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// toProxy moves every address to where the tests know it again.
func toProxy(node int32, host string, port int32) (string, int32, error) {
	return "proxy-" + strconv.Itoa(int(node)) + "-for-" + host, port + 10_000, nil
}

// An addressed answer is one with two addresses in it, or with their replacement.
type addressed func(version int16, host func(node int32, host string, port int32) (string, int32, error)) kmsg.Response

func ptr[T any](v T) *T { return &v }

var topicID = [16]byte{1, 2, 3}

// someRecords look like nothing that could be read: they have to pass as they are.
var someRecords = bytes.Repeat([]byte("records"), 300)

var withAddresses = map[int16]addressed{
	apiMetadata: func(v int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrMetadataResponse()
		for node := range int32(2) {
			b := kmsg.NewMetadataResponseBroker()
			b.NodeID, b.Rack = node, ptr("r")
			b.Host, b.Port, _ = to(node, "real", 9092)
			resp.Brokers = append(resp.Brokers, b)
		}
		t := kmsg.NewMetadataResponseTopic()
		if t.Topic = ptr("orders"); v >= 10 {
			t.TopicID = topicID
		}
		t.Partitions = append(t.Partitions, kmsg.NewMetadataResponseTopicPartition())
		resp.Topics = append(resp.Topics, t)
		return resp
	},
	apiFindCoordinator: func(v int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		if v <= 3 {
			resp.NodeID = 1
			resp.Host, resp.Port, _ = to(1, "real", 9092)
			return resp
		}
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID = "group", 1
		c.Host, c.Port, _ = to(1, "real", 9092)
		none := kmsg.NewFindCoordinatorResponseCoordinator()
		none.Key, none.NodeID, none.Port, none.ErrorCode = "other", -1, -1, 15
		resp.Coordinators = append(resp.Coordinators, c, none)
		return resp
	},
	apiDescribeCluster: func(_ int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrDescribeClusterResponse()
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID = 1
		b.Host, b.Port, _ = to(1, "real", 9092)
		resp.Brokers = append(resp.Brokers, b)
		return resp
	},
	apiProduce: func(v int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrProduceResponse()
		t := kmsg.NewProduceResponseTopic()
		if t.Topic = "orders"; v >= 13 {
			t.TopicID = topicID
		}
		p := kmsg.NewProduceResponseTopicPartition()
		p.Partition, p.ErrorCode, p.BaseOffset = 3, 6, 77
		if v >= 8 {
			p.ErrorMessage = ptr("moved")
			p.ErrorRecords = append(p.ErrorRecords, kmsg.NewProduceResponseTopicPartitionErrorRecord())
		}
		if v >= 10 {
			p.CurrentLeader.LeaderID = 1
			b := kmsg.NewProduceResponseBroker()
			b.NodeID, b.Rack = 1, ptr("rack")
			b.Host, b.Port, _ = to(1, "real", 9092)
			resp.Brokers = append(resp.Brokers, b)
			b.NodeID, b.Rack = 2, nil
			b.Host, b.Port, _ = to(2, "real", 9093)
			resp.Brokers = append(resp.Brokers, b)
			resp.UnknownTags.Set(9, []byte("later"))
		}
		t.Partitions = append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		return resp
	},
	apiFetch: func(v int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrFetchResponse()
		t := kmsg.NewFetchResponseTopic()
		if t.Topic = "orders"; v >= 13 {
			t.TopicID = topicID
		}
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.RecordBatches = 3, someRecords
		if v >= 4 {
			p.AbortedTransactions = append(p.AbortedTransactions, kmsg.NewFetchResponseTopicPartitionAbortedTransaction())
		}
		if v >= 12 {
			p.CurrentLeader.LeaderID = 1
		}
		t.Partitions = append(t.Partitions, p, p)
		resp.Topics = append(resp.Topics, t)
		if v >= 16 {
			b := kmsg.NewFetchResponseBroker()
			b.NodeID = 1
			b.Host, b.Port, _ = to(1, "real", 9092)
			resp.Brokers = append(resp.Brokers, b)
			resp.UnknownTags.Set(9, []byte("later"))
		}
		return resp
	},
	apiShareFetch: func(_ int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrShareFetchResponse()
		t := kmsg.NewShareFetchResponseTopic()
		p := kmsg.NewShareFetchResponseTopicPartition()
		p.Records = someRecords
		t.Partitions = append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		b := kmsg.NewShareFetchResponseNodeEndpoint()
		b.NodeID = 1
		b.Host, b.Port, _ = to(1, "real", 9092)
		resp.NodeEndpoints = append(resp.NodeEndpoints, b)
		return resp
	},
	apiShareAcknowledge: func(_ int16, to func(int32, string, int32) (string, int32, error)) kmsg.Response {
		resp := kmsg.NewPtrShareAcknowledgeResponse()
		b := kmsg.NewShareAcknowledgeResponseNodeEndpoint()
		b.NodeID = 1
		b.Host, b.Port, _ = to(1, "real", 9092)
		resp.NodeEndpoints = append(resp.NodeEndpoints, b)
		return resp
	},
}

func same(_ int32, host string, port int32) (string, int32, error) { return host, port, nil }

func named(id [16]byte) string {
	if id == topicID {
		return "orders"
	}
	return ""
}

// rewritten is what the client gets of an answer.
func rewritten(r *request, frame []byte, to relocate) ([]byte, error) {
	switch r.key {
	case apiProduce:
		_, tags, err := walkReceipts(r, frame, named)
		if err != nil || r.version < 10 {
			return frame, err
		}
		return rewriteEndpoints(frame, tags, to)
	case apiFetch:
		tags, err := walkFetched(r, frame, named, func(part) {})
		if err != nil || r.version < 16 {
			return frame, err
		}
		return rewriteEndpoints(frame, tags, to)
	}
	return rewriteAddresses(r, frame, to, func([16]byte, string) {})
}

// In each of the seven answers, in every version, all addresses become ours, and
// nothing else changes by a byte. When our address cannot be made, nothing passes.
func TestAddresses(t *testing.T) {
	for key, build := range withAddresses {
		if !carriesAddresses(key) {
			t.Errorf("%s is not counted", kmsg.NameForKey(key))
		}
		for v := int16(0); v <= requests[key].highest; v++ {
			r := &request{key: key, version: v, correlation: 7}
			frame, want := r.answer(build(v, same)), r.answer(build(v, toProxy))
			got, err := rewritten(r, bytes.Clone(frame), toProxy)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s v%d: %v\n%q, want\n%q", r.name(), v, err, got, want)
			}
			if (key != apiFetch && v >= 10 || v >= 16) && bytes.Equal(frame, want) {
				t.Errorf("%s v%d has no address", r.name(), v)
			}
			refused := errors.New("no listener")
			if _, err := rewritten(r, bytes.Clone(frame), func(int32, string, int32) (string, int32, error) { return "", 0, refused }); !bytes.Equal(frame, want) && !errors.Is(err, refused) {
				t.Errorf("%s v%d: %v, want %v", r.name(), v, err, refused)
			}
			for cut := range len(frame) - 1 {
				if out, err := rewritten(r, bytes.Clone(frame[:cut]), toProxy); err == nil && bytes.Contains(out, []byte("real")) && !bytes.Contains(out, []byte("proxy")) {
					t.Errorf("%s v%d cut off at %d passes an address", r.name(), v, cut)
				}
			}
		}
	}
}

// What the walkers see is what the full decoder sees.
func TestWalks(t *testing.T) {
	for v := int16(0); v <= requests[apiProduce].highest; v++ {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.Version = -1, v
		if v >= 3 {
			req.TransactionID = ptr("tx")
		}
		topic := kmsg.NewProduceRequestTopic()
		if topic.Topic = "orders"; v >= 13 {
			topic.TopicID = topicID
		}
		for n := range int32(3) {
			p := kmsg.NewProduceRequestTopicPartition()
			if p.Partition = n; n > 0 {
				p.Records = someRecords[:n*10]
			}
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
		r, err := parseRequest(kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 5)[4:])
		if err != nil || r.client != "me" || r.correlation != 5 || r.version != v {
			t.Fatal(r, err)
		}
		w, err := walkProduce(&r, named)
		if err != nil || w.acks != -1 || len(w.parts) != 3 || v >= 3 && string(w.txn) != "tx" {
			t.Fatalf("v%d: %+v, %v", v, w, err)
		}
		for n, p := range w.parts {
			if p.topic != "orders" || int(p.partition) != n || !bytes.Equal(p.records, someRecords[:n*10]) {
				t.Errorf("v%d: %+v", v, p)
			}
		}
		for cut := range len(r.frame) - 1 {
			short := r
			if short.frame = r.frame[:cut]; cut >= r.body {
				if _, err := walkProduce(&short, named); err == nil {
					t.Errorf("v%d cut off at %d is whole", v, cut)
				}
			}
		}
		ra := &request{key: apiProduce, version: v}
		receipts, _, err := walkReceipts(ra, ra.answer(withAddresses[apiProduce](v, same)), named)
		if err != nil || len(receipts) != 1 || receipts[0].topic != "orders" || receipts[0].partition != 3 || binary.BigEndian.Uint16(receipts[0].code) != 6 || binary.BigEndian.Uint64(receipts[0].offset) != 77 {
			t.Errorf("v%d: %+v, %v", v, receipts, err)
		}
	}
	for v := int16(0); v <= requests[apiFetch].highest; v++ {
		r := &request{key: apiFetch, version: v}
		var parts []part
		if _, err := walkFetched(r, r.answer(withAddresses[apiFetch](v, same)), named, func(p part) { parts = append(parts, p) }); err != nil || len(parts) != 2 {
			t.Fatalf("v%d: %v, %v", v, parts, err)
		}
		if p := parts[1]; p.topic != "orders" || p.partition != 3 || !bytes.Equal(p.records, someRecords) {
			t.Errorf("v%d: %+v", v, p)
		}
	}
}

// Versions that the proxy cannot read are not offered, nor are requests that it
// does not know.
func TestVersions(t *testing.T) {
	for v := int16(0); v <= requests[apiVersions].highest; v++ {
		r := &request{key: apiVersions, version: v}
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: apiProduce, MinVersion: 3, MaxVersion: 99}, {ApiKey: apiFetch, MinVersion: 50, MaxVersion: 60}, {ApiKey: 120, MaxVersion: 1}, {ApiKey: 999}, {ApiKey: apiHeartbeat, MaxVersion: 2}, {ApiKey: apiDescribeQuorum, MaxVersion: 2}}
		out, err := clampVersions(r, r.answer(resp))
		if err != nil {
			t.Fatal(err)
		}
		got := kmsg.NewPtrApiVersionsResponse()
		got.SetVersion(v)
		if err := got.ReadFrom(out[4:]); err != nil {
			t.Fatal(err)
		}
		want := map[int16]int16{apiProduce: requests[apiProduce].highest, apiHeartbeat: 2, apiDescribeQuorum: 1}
		if len(got.ApiKeys) != len(want) {
			t.Errorf("v%d: %+v", v, got.ApiKeys)
		}
		for _, k := range got.ApiKeys {
			if want[k.ApiKey] != k.MaxVersion {
				t.Errorf("v%d: %+v", v, k)
			}
		}
	}
	// A broker that does not know the version says so in version 0.
	old := &request{key: apiVersions, version: 0}
	refusal := kmsg.NewPtrApiVersionsResponse()
	refusal.ErrorCode = errUnsupportedVersion
	refusal.ApiKeys = append(refusal.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: apiVersions, MaxVersion: 3})
	frame := old.answer(refusal)
	if out, err := clampVersions(&request{key: apiVersions, version: 4}, bytes.Clone(frame)); err != nil || !bytes.Equal(out, frame) {
		t.Errorf("%q, %v", out, err)
	}
}
