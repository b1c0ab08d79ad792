package kafkatest

import (
	"reflect"
	"testing"
)

func TestParseBrokers(t *testing.T) {
	response := []byte{
		0, 0, 0, 7, // correlation id
		0, 0, 0, 2, // brokers
		0, 0, 0, 1, 0, 1, 'a', 0, 0, 0x23, 0x84, 0xff, 0xff, // no rack
		0, 0, 0, 3, 0, 2, 'b', 'b', 0, 0, 0x23, 0x85, 0, 1, 'r',
		0, 0, 0, 1, // controller
		0, 0, 0, 0, // topics
	}
	ids, err := parseBrokers(response)
	if err != nil || !reflect.DeepEqual(ids, []int{1, 3}) {
		t.Errorf("got %v, %v", ids, err)
	}
	for n := range len(response) - 8 {
		if ids, err := parseBrokers(response[:n]); err == nil {
			t.Errorf("cut after %d bytes: %v and no error", n, ids)
		}
	}
}

func TestFreeAddrs(t *testing.T) {
	addrs, err := freeAddrs(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, addr := range addrs {
		if seen[addr] {
			t.Errorf("%s twice", addr)
		}
		seen[addr] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d addresses", len(seen))
	}
}
