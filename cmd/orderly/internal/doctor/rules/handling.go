package rules

// What code does with records.
var handling = []Rule{
	{
		ID: "C16", Title: "Workers that commit their own records", Severity: Error, Needs: code, Marks: []string{"worker-commit"}, Versions: "all clients",
		Cause: "Each worker of a pool commits the record that it has done.", Diagnosis: "Look for commits in goroutines, threads or tasks that handle single records.",
		Fix: "Commit the highest offset below which all is done, from one place; orderly does that.", Why: "The commit of a later record says that the earlier ones are done: after a crash those are gaps. A commit that comes late goes back.",
		WhenNot: "One worker has a whole partition.", Source: "found in real programs", Damage: "Possibly, at each crash or rebalance.", Prove: "orderly prove scenario async-hand-off",
	},
	{
		ID: "C17", Title: "Errors are logged and committed", Severity: Warn, Needs: code, Marks: []string{"error-ignored"}, Versions: "all clients",
		Cause: "A record whose handling failed is logged, and the offset goes on.", Diagnosis: "Look at the error branch of handlers, and at what happens to the record.",
		Fix: "Try again in place, hold the key, or stop.", Why: "It is a silent skip: later records of the key build on one that is missing.",
		WhenNot: "Records stand for themselves, and the log is read.", Source: "found in real programs", Damage: "Look at the error lines of the log: each is a record that is missing.",
	},
}
