package wire

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The numbers are those that the clients themselves gave: murmur2 from KafkaJS
// 2.2.4 and kafka-python 3.0.12, the legacy one from KafkaJS 2.2.4, crc32 from
// Python's zlib; "123456789" is the check value of crc32's specification.
func TestHashesOfTheClients(t *testing.T) {
	for _, v := range []struct {
		key            string
		legacy, murmur int32
	}{
		{"", 275646684, 275646681}, {"a", -809885833, -1563381124}, {"ab", -1686076413, 316155434}, {"abc", 1545667907, 479470107},
		{"abcd", -2139815384, -1323649548}, {"order-1", 1308957835, 1221710326}, {"order-42", -1977366203, 501153024},
		{"354afe16-939a-4ea8-8e17-8bb0840b6886", 997442279, 983768104}, {"f562ac3b-2224-4e25-a0ab-56094e10c239", -408113574, -377816373},
		{"zażółć", 2110466711, 2056704}, {"21", -595812486, -973932308}, {"foobar", -309133275, -790332482},
		{"a-little-bit-long-string", 2065008938, -985981536},
	} {
		if got := murmur2Legacy([]byte(v.key)); got != v.legacy {
			t.Errorf("legacy murmur2 of %q: %d, want %d", v.key, got, v.legacy)
		}
		if got := int32(murmur2([]byte(v.key))); got != v.murmur {
			t.Errorf("murmur2 of %q: %d, want %d", v.key, got, v.murmur)
		}
	}
	var sum int32
	for i := range 10_000 {
		sum = sum*31 + murmur2Legacy(fmt.Appendf(nil, "key-%d", i*7919))
	}
	if sum != 707477425 {
		t.Errorf("10,000 legacy hashes add up to %d", sum)
	}
}

func TestPartitionsOfTheClients(t *testing.T) {
	byName := map[string]*Hash{}
	for _, h := range Hashes {
		byName[h.Name] = h
	}
	for _, v := range []struct {
		key              string
		n                int32
		murmur, crc, fnv int32
	}{
		{"354afe16-939a-4ea8-8e17-8bb0840b6886", 10, 4, 9, 5},
		{"f562ac3b-2224-4e25-a0ab-56094e10c239", 10, 5, 6, 0},
		{"order-1", 12, 10, 7, 1}, {"order-2", 12, 3, 9, 4}, {"order-42", 12, 0, 10, 8},
	} {
		for name, want := range map[string]int32{"murmur2": v.murmur, "crc32": v.crc, "fnv1a": v.fnv} {
			if got := byName[name].Partition([]byte(v.key), v.n); got != want {
				t.Errorf("%s of %q among %d: %d, want %d", name, v.key, v.n, got, want)
			}
		}
	}
	// franz-go has three of the ways; its own code decides.
	for i := range 20_000 {
		key, n := fmt.Appendf(nil, "k-%d", i*i), int32(i%97+1)
		java := kgo.StickyKeyPartitioner(nil).ForTopic("t").Partition(&kgo.Record{Key: key}, int(n))
		sarama := kgo.StickyKeyPartitioner(kgo.SaramaCompatHasher(fnv1a)).ForTopic("t").Partition(&kgo.Record{Key: key}, int(n))
		reference := kgo.StickyKeyPartitioner(kgo.KafkaHasher(fnv1a)).ForTopic("t").Partition(&kgo.Record{Key: key}, int(n))
		for name, want := range map[string]int{"murmur2": java, "fnv1a": sarama, "fnv1a-masked": reference} {
			if got := byName[name].Partition(key, n); int(got) != want {
				t.Fatalf("%s of %q among %d: %d, want %d", name, key, n, got, want)
			}
		}
	}
	if got := byName["crc32"].Partition([]byte("123456789"), 1<<31-1); got != int32(uint32(3421780262)%(1<<31-1)) {
		t.Errorf("crc32: %d", got)
	}
}
