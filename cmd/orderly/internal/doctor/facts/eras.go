package facts

// An era is a span of a client's versions that behave alike for the rules.
type era struct {
	of    Ver
	label string
}

var eras = map[Client][]era{
	Java: {
		{Ver{2, 0, 1}, "before 2.1"}, {Ver{2, 8, 2}, "2.1 to 2.8"}, {Ver{3, 0, 0}, "3.0.0 or 3.1.0"},
		{Ver{3, 6, 2}, "3.0.1 to 3.6 (but not 3.1.0)"}, {Ver{3, 9, 1}, "3.7 to 3.9"}, {Ver{4, 1, 0}, "4.0 and later"},
	},
	Librdkafka: {
		{Ver{1, 5, 3}, "before 1.6"}, {Ver{1, 8, 2}, "1.6 to 1.8"}, {Ver{2, 2, 0}, "1.9 to 2.2"}, {Ver{2, 4, 0}, "2.3 and 2.4"}, {Ver{2, 15, 0}, "2.5 and later"},
	},
	Sarama:      {{Ver{1, 30, 1}, "before 1.31"}, {Ver{1, 47, 0}, "1.31 to 1.47"}, {Ver{1, 50, 3}, "1.48.0 to 1.50.3"}, {Ver{1, 61, 1}, "1.60.0 and later"}},
	FranzGo:     {{Ver{1, 22, 2}, ""}},
	KafkaGo:     {{Ver{0, 4, 51}, ""}},
	KafkaJS:     {{Ver{1, 16, 0}, "1.x"}, {Ver{2, 2, 4}, "2.x"}},
	AIOKafka:    {{Ver{0, 12, 0}, ""}},
	KafkaPython: {{Ver{2, 0, 2}, "2.0"}, {Ver{2, 1, 6}, "2.1"}, {Ver{2, 3, 0}, "2.2 and 2.3"}, {Ver{3, 0, 2}, "3.0 and later"}},
}

var brokerEras = []era{{Ver{2, 4, 1}, "before 2.5"}, {Ver{3, 9, 1}, "2.5 to 3.9"}, {Ver{4, 1, 0}, "4.0 and later"}}

// A View is a unit, looked at as one client of one version.
type View struct {
	*Unit
	Client Client
	Ver    Ver
	Known  bool   // the client and the version are known
	Label  string // of the possibility: "kafka-clients 2.1 to 2.8"
}

// artifact is what a client is called where its version is told.
var artifact = map[Client]string{
	Java: "kafka-clients", Librdkafka: "librdkafka", Sarama: "Sarama", FranzGo: "franz-go", KafkaGo: "kafka-go",
	KafkaJS: "KafkaJS", AIOKafka: "aiokafka", KafkaPython: "kafka-python",
}

// Artifact is what the client is called where its version is told.
func (c Client) Artifact() string {
	if a := artifact[c]; a != "" {
		return a
	}
	return "an unknown client"
}

// Views are all that a unit may be, by what is known of it.
func (u *Unit) Views() (views []View) {
	if u.Kind == Broker || u.Kind == Topic || u.Kind == Group {
		return u.brokerViews()
	}
	clients := []Client{u.Client}
	if u.Client == Unknown {
		clients = []Client{Java, Librdkafka}
	}
	for _, c := range clients {
		if len(u.Versions) > 0 && u.Client != Unknown {
			for _, v := range u.Versions {
				views = append(views, View{u, c, v, len(u.Versions) == 1, c.Artifact() + " " + v.String()})
			}
			continue
		}
		for _, e := range eras[c] {
			label := c.Artifact()
			if e.label != "" {
				label += " " + e.label
			}
			views = append(views, View{u, c, e.of, len(eras[c]) == 1 && u.Client != Unknown, label})
		}
	}
	return views
}

func (u *Unit) brokerViews() (views []View) {
	for _, v := range u.Versions {
		views = append(views, View{u, u.Client, v, len(u.Versions) == 1, "Kafka " + v.String()})
	}
	if len(views) > 0 {
		return views
	}
	for _, e := range brokerEras {
		views = append(views, View{u, u.Client, e.of, false, "Kafka " + e.label})
	}
	return views
}
