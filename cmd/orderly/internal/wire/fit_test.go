package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func placed(h *Hash, n int32, from, to int) (places []Place) {
	for i := from; i < to; i++ {
		key := fmt.Sprintf("customer-%d", i)
		places = append(places, Place{key, h.Partition([]byte(key), n)})
	}
	return places
}

// Every hash is recognised, with today's count of partitions and with an earlier one.
func TestEveryHashIsRecognised(t *testing.T) {
	for _, n := range []int32{2, 3, 6, 12, 50} {
		for _, before := range []int32{n, n - 1, n / 2} {
			if before < 2 {
				continue
			}
			for _, h := range Hashes {
				fp := Take(placed(h, before, 0, 300), n)
				if fp.Few || len(fp.Fits) != 1 || len(fp.Others) != 0 {
					t.Errorf("%s among %d of %d: %d fits, %d not explained", h.Name, before, n, len(fp.Fits), len(fp.Others))
					continue
				}
				fit := fp.Fits[0]
				names := append([]string{fit.Hash.Name}, fit.Same...)
				found := false
				for _, name := range names {
					found = found || name == h.Name
				}
				if !found || fit.Partitions != before || len(names) > 3 { // among 2, all of FNV-1a are alike
					t.Errorf("%s among %d of %d: taken for %v among %d", h.Name, before, n, names, fit.Partitions)
				}
			}
		}
	}
}

// Two hashes, or two counts, in one topic are both found, whoever wrote more.
func TestMixturesAreTakenApart(t *testing.T) {
	java, crc := Hashes[0], Hashes[1]
	for _, c := range []struct {
		places []Place
		want   map[string]bool
	}{
		{append(placed(java, 12, 0, 300), placed(crc, 12, 300, 500)...), map[string]bool{"murmur2/12": true, "crc32/12": true}},
		{append(placed(java, 6, 0, 300), placed(java, 12, 300, 600)...), map[string]bool{"murmur2/12": true, "murmur2/6": true}},
		{append(placed(java, 6, 0, 600), placed(java, 12, 600, 700)...), map[string]bool{"murmur2/12": true, "murmur2/6": true}},
		{append(placed(java, 6, 0, 100), placed(java, 12, 100, 900)...), map[string]bool{"murmur2/12": true, "murmur2/6": true}},
	} {
		fp := Take(c.places, 12)
		got := map[string]bool{}
		for _, fit := range fp.Fits {
			got[fmt.Sprintf("%s/%d", fit.Hash.Name, fit.Partitions)] = true
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) || len(fp.Others) > 0 {
			t.Errorf("%v, want %v; %d not explained", got, c.want, len(fp.Others))
		}
	}
}

// What no hash put there is not explained by luck, and few keys are said to be few.
func TestRandomPlacesHaveNoHash(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := int32(2 + r.IntN(20))
		var places []Place
		for i := range 100 + r.IntN(400) {
			places = append(places, Place{fmt.Sprintf("k%d", i), r.Int32N(n)})
		}
		if fp := Take(places, n); len(fp.Fits) > 0 {
			t.Fatalf("seed %d: %d random places among %d: %s among %d explains %d", seed, len(places), n, fp.Fits[0].Hash.Name, fp.Fits[0].Partitions, len(fp.Fits[0].Places))
		}
	}
	for n := int32(2); n < 30; n++ {
		for keys := 20; keys < 400; keys += 37 {
			var places []Place
			for i := range 2 * keys { // round robin, by turns
				places = append(places, Place{fmt.Sprintf("key-%d", i%keys), int32(i) % n})
			}
			if fp := Take(places, n); keys%int(n) != 0 && len(fp.Fits) > 0 {
				t.Errorf("%d keys by turns among %d: %s among %d explains %d of %d", keys, n, fp.Fits[0].Hash.Name, fp.Fits[0].Partitions, len(fp.Fits[0].Places), fp.Places)
			}
		}
	}
	if fp := Take(placed(Java, 12, 0, 5), 12); !fp.Few {
		t.Errorf("5 keys are enough: %+v", fp)
	}
	if fp := Take(placed(Java, 1, 0, 500), 1); !fp.Few {
		t.Errorf("one partition is enough: %+v", fp)
	}
}
