package main

import (
	"io"
	"testing"
	"time"
)

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestParseOptions(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want options
	}{
		{"defaults", nil, map[string]string{"ORDERLY_SEED": "7"},
			options{seed: 7, count: 1, timeout: testTimeout}},
		{"passed through", []string{"-run", "A|B", "-v", "-count", "3", "-timeout", "1m"}, map[string]string{"ORDERLY_SEED": "7"},
			options{seed: 7, run: "A|B", verbose: true, count: 3, timeout: time.Minute}},
		{"soak by flag", []string{"-soak"}, map[string]string{"ORDERLY_SEED": "7"},
			options{seed: 7, soak: true, count: 1, timeout: soakTimeout}},
		{"soak by environment", nil, map[string]string{"ORDERLY_SEED": "7", "ORDERLY_SOAK": "1"},
			options{seed: 7, soak: true, count: 1, timeout: soakTimeout}},
		{"CI", nil, map[string]string{"ORDERLY_SEED": "7", "CI": "true"},
			options{seed: 7, strict: true, count: 1, timeout: testTimeout}},
		{"all required", nil, map[string]string{"ORDERLY_SEED": "7", "ORDERLY_REQUIRE_ALL": "1"},
			options{seed: 7, strict: true, count: 1, timeout: testTimeout}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseOptions(test.args, env(test.env), io.Discard)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseOptionsRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		seed string
	}{
		{"a package", []string{"./internal/lane"}, ""},
		{"an unknown flag", []string{"-race"}, ""},
		{"a word as seed", nil, "x"},
		{"seed 0, which rapid takes for none", nil, "0"},
		{"a seed beyond int64", nil, "9223372036854775808"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parseOptions(test.args, env(map[string]string{"ORDERLY_SEED": test.seed}), io.Discard); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestFreshSeeds(t *testing.T) {
	a, err := chooseSeed("")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // two equal ones are a chance of 2^-32, three times in a row none
		if b, err := chooseSeed(""); err != nil || b == 0 {
			t.Fatalf("seed %d, %v", b, err)
		} else if a != b {
			return
		}
	}
	t.Errorf("always the seed %d", a)
}
