package rules

import (
	"slices"
	"testing"
)

func TestTopicProblems(t *testing.T) {
	for _, c := range []struct {
		topic Topic
		want  []string
	}{
		{Topic{}, nil},
		{Topic{Replicas: 3, MinInsync: 2}, nil},
		{Topic{Replicas: 3}, nil}, // min.insync.replicas may not be read
		{Topic{MinInsync: 1}, nil},
		{Topic{Replicas: 1, MinInsync: 1}, []string{"B01"}},
		{Topic{Replicas: 2, MinInsync: 2}, []string{"B01", "B03"}},
		{Topic{Replicas: 3, MinInsync: 1}, []string{"B02"}},
		{Topic{Replicas: 3, MinInsync: 3}, []string{"B03"}},
		{Topic{Replicas: 3, MinInsync: 2, Unclean: true}, []string{"B05"}},
	} {
		var got []string
		for _, p := range c.topic.Problems() {
			got = append(got, p.ID)
			if p.What == "" || p.Fix == "" {
				t.Errorf("%+v: %+v has no words", c.topic, p)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.topic, got, c.want)
		}
	}
}
