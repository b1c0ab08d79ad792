package explain

var orderlyPatterns = []pattern{
	p("orderly-key-closed", Orderly, "a record was refused; its key is closed"),
	p("orderly-key-closed", Orderly, "their keys are closed until clear"),
	p("orderly-key-closed", Orderly, "the key is closed until clear"),
	p("orderly-key-closed", Orderly, "is closed, record refused (not written)"),
	p("orderly-hole", Orderly, "by policy: a hole in the order of its key"),
	p("orderly-hole", Orderly, "dead-lettered: a hole in the order of its key"),
	p("orderly-key-blocked", Orderly, "its key stays blocked and is tried at the maximum backoff"),
	p("orderly-key-parked", Orderly, "a record was parked; the later ones of its key follow it"),
	px("orderly-stopped", Orderly, "stopped by policy at topic", `stopped by policy at topic (?P<topic>\S+) partition (?P<partition>\d+) offset (?P<offset>\d+)`),
	px("orderly-offset-range", Orderly, "is outside the log [", `topic (?P<topic>\S+) partition (?P<partition>\d+): the committed offset (?P<offset>\d+) is outside the log \[\d+, \d+\]`),
	px("orderly-partitions-changed", Orderly, "of all keys would move to another partition", `topic (?P<topic>\S+) had \d+ partitions`),
	p("orderly-acknowledged-lost", Orderly, "the broker no longer knows what this producer wrote"),
	px("orderly-topic-recreated", Orderly, "was deleted and created again (id", `orderly: topic (?P<topic>\S+) was deleted and created again`),
	p("orderly-partition-lost", Orderly, "partition lost; nothing of it is committed any more"),
	p("orderly-commit-refused", Orderly, "orderly: offset commit not accepted"),
}
