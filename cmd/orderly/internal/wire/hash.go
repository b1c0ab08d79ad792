package wire

import "hash/crc32"

// A Hash is a way in which clients choose the partition of a key.
type Hash struct {
	Name    string // as it is printed, and in JSON
	Clients string // who does so
	bits    func(key []byte) uint32
	fold    func(bits uint32, n int32) int32
}

// Partition is where the hash puts a key among n partitions.
func (h *Hash) Partition(key []byte, n int32) int32 { return h.fold(h.bits(key), n) }

// Java is the hash of the Java client, and of most others today.
var Java = &Hash{"murmur2", "Java, franz-go, kafka-python, aiokafka, KafkaJS 2, librdkafka murmur2_random, kafka-go Murmur2Balancer",
	murmur2, masked}

// Hashes are all that are tried, the most usual first.
var Hashes = []*Hash{
	Java,
	{"crc32", "librdkafka by default (consistent_random, consistent): confluent-kafka of all languages, node-rdkafka; kafka-go CRC32Balancer, ruby-kafka",
		crc32.ChecksumIEEE, unsigned},
	{"fnv1a", "Sarama by default, kafka-go Hash, librdkafka fnv1a_random",
		fnv1a, negated},
	{"fnv1a-masked", "Sarama NewReferenceHashPartitioner, kafka-go ReferenceHash",
		fnv1a, masked},
	{"fnv1a-unsigned", "Sarama with WithHashUnsigned",
		fnv1a, unsigned},
	{"kafkajs-legacy", "KafkaJS 1, and KafkaJS 2 with LegacyPartitioner",
		func(k []byte) uint32 { return uint32(murmur2Legacy(k)) }, masked},
	{"crc32-negated", "clients that take crc32 as a signed number",
		crc32.ChecksumIEEE, negated},
}

// The three ways from 32 bits to a partition. They differ only where the highest
// bit is set: in half of all keys.
func masked(h uint32, n int32) int32   { return int32(h&0x7fffffff) % n }
func unsigned(h uint32, n int32) int32 { return int32(h % uint32(n)) }
func negated(h uint32, n int32) int32 {
	p := int32(h) % n
	if p < 0 {
		p = -p
	}
	return p
}

func fnv1a(key []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

const (
	murmurSeed = 0x9747b28c
	murmurMul  = 0x5bd1e995
)

func murmur2(key []byte) uint32 {
	h := murmurSeed ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := (uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24) * murmurMul
		h = h*murmurMul ^ (k^k>>24)*murmurMul
	}
	for i := len(key) - 1; i >= 0; i-- {
		h ^= uint32(key[i]) << (8 * i)
	}
	if len(key) > 0 {
		h *= murmurMul
	}
	h = (h ^ h>>13) * murmurMul
	return h ^ h>>15
}

// murmur2Legacy is what KafkaJS 1 made of murmur2: it computes with JavaScript's
// floating point numbers, where products lose their low bits, and takes an
// incomplete last word for a whole one before it adds its bytes again.
func murmur2Legacy(key []byte) int32 {
	at := func(i int) int32 {
		if i < len(key) {
			return int32(key[i])
		}
		return 0
	}
	const mul = float64(murmurMul)
	seed := uint32(murmurSeed)
	h := float64(int32(seed) ^ int32(len(key)))
	for i := 0; i < len(key); i += 4 {
		k := (float64(at(i)) + float64(at(i+1)<<8) + float64(at(i+2)<<16) + float64(at(i+3)<<24)) * mul
		bits := toInt32(k)
		k = float64(bits^int32(uint32(bits)>>24)) * mul
		h = float64(toInt32(h*mul) ^ toInt32(k))
	}
	if rest := len(key) % 4; rest > 0 {
		bits := toInt32(h)
		for i := rest - 1; i >= 0; i-- {
			bits ^= at(len(key)-rest+i) << (8 * i)
		}
		h = float64(bits) * mul
	}
	bits := toInt32(h)
	h = float64(bits^int32(uint32(bits)>>13)) * mul
	bits = toInt32(h)
	return bits ^ int32(uint32(bits)>>15)
}

// toInt32 is JavaScript's: the low 32 bits of a whole number. All products here are
// below 2^63.
func toInt32(f float64) int32 { return int32(uint32(int64(f))) }
