package parking

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var legalTopic = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

func TestTopicNames(t *testing.T) {
	for _, c := range []struct{ group, topic, want string }{
		{"billing", "orders", "orderly-parked.billing.orders"},
		{"a.b", "c", "orderly-parked.a_2eb.c"},
		{"a", "b.c", "orderly-parked.a.b_2ec"},
		{"a_2eb", "c", "orderly-parked.a_5f2eb.c"},
		{"", "é", "orderly-parked.._c3_a9"},
	} {
		if got, err := TopicName(DefaultPrefix, c.group, c.topic); err != nil || got != c.want {
			t.Errorf("TopicName(%q, %q) = %q, %v; want %q", c.group, c.topic, got, err, c.want)
		}
	}
	for _, prefix := range []string{"", "a b", "ä", strings.Repeat("x", 125)} {
		if _, err := TopicName(prefix, "g", "t"); err == nil {
			t.Errorf("prefix %q was taken", prefix)
		}
	}
}

// Pairs are drawn near each other and around the length at which names are cut.
func TestTopicNamesAreDistinctAndLegal(t *testing.T) {
	part := rapid.OneOf(
		rapid.StringMatching(`[a._2e-]{0,6}`),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.SampledFrom([]string{"a", ".", "_", "é"}).Draw(t, "of"), rapid.IntRange(90, 130).Draw(t, "times")) +
				rapid.StringMatching(`[a._2e-]{0,3}`).Draw(t, "end")
		}),
		rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		type pair struct{ group, topic string }
		a := pair{part.Draw(t, "g1"), part.Draw(t, "t1")}
		b := pair{part.Draw(t, "g2"), part.Draw(t, "t2")}
		if rapid.Bool().Draw(t, "shift") { // the boundary between the two moved by a dot
			b = pair{a.group + "." + a.topic, ""}
		}
		na, err1 := TopicName(DefaultPrefix, a.group, a.topic)
		nb, err2 := TopicName(DefaultPrefix, b.group, b.topic)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if !legalTopic.MatchString(na) || !legalTopic.MatchString(nb) {
			t.Fatalf("not legal: %q, %q", na, nb)
		}
		if (a == b) != (na == nb) {
			t.Fatalf("%+v: %q\n%+v: %q", a, na, b, nb)
		}
	})
}
