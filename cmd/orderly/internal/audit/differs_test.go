package audit

import "testing"

func TestConfigDiffers(t *testing.T) {
	a := config{Topic: "orders", TopicID: "1", Number: "the number at .v", Partitions: nil, Keys: nil}
	for want, change := range map[string]func(*config){
		"":                                      func(*config) {},
		"the topic was orders, and is pays now": func(c *config) { c.Topic, c.TopicID = "pays", "2" },
		"the topic was deleted and made anew since":                               func(c *config) { c.TopicID = "2" },
		"what records are judged by was the number at .v, and is their times now": func(c *config) { c.Number = "their times" },
		"--since was not given, and is 24h now; --partitions was all, and is 0 3 now": func(c *config) {
			c.Since, c.Partitions = "24h", []int32{0, 3}
		},
		`--keys was [], and is ["k"] now`:                                     func(c *config) { c.Keys = []string{"k"} },
		"the topic's cleanup.policy changed, or whether this user may see it": func(c *config) { c.NoGaps = true },
	} {
		b := a
		change(&b)
		if got := a.differs(b); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
