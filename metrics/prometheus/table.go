package prometheus

import "github.com/orderly-go/orderly"

// A Metric describes one metric. The table is all there is: what is registered,
// docs/metrics.md, and the tests of alerts and dashboard are made from it.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// Table lists the metrics.
func Table() []Metric { return append([]Metric(nil), table...) }

var (
	byGroup     = []string{"group"}
	byTopic     = []string{"group", "topic"}
	byPartition = []string{"group", "topic", "partition"}
)

func with(labels []string, more ...string) []string {
	return append(append([]string(nil), labels...), more...)
}

// Names of the metrics.
const (
	recordsDone        = "orderly_records_done_total"
	recordsRetried     = "orderly_records_retried_total"
	attemptsFailed     = "orderly_attempts_failed_total"
	handlerDuration    = "orderly_handler_duration_seconds"
	recordAge          = "orderly_record_age_seconds"
	recordsDropped     = "orderly_records_dropped_total"
	recordsRedelivered = "orderly_records_redelivered_total"
	deadLetters        = "orderly_dead_letters_total"
	recordsSkipped     = "orderly_records_skipped_total"
	recordsParked      = "orderly_records_parked_total"
	recordsReleased    = "orderly_records_released_total"
	holes              = "orderly_holes_total"
	sequenceFindings   = "orderly_sequence_findings_total"
	writeFailures      = "orderly_dead_letter_write_failures_total"
	parkingFailures    = "orderly_parking_write_failures_total"
	handlersStuck      = "orderly_handlers_stuck_total"
	orderViolations    = "orderly_order_violations_total"

	breakerState   = "orderly_breaker_state"
	breakerNext    = "orderly_breaker_next_probe_timestamp_seconds"
	breakerShare   = "orderly_breaker_share"
	breakerFailing = "orderly_breaker_failing_keys"
	breakerOpened  = "orderly_breaker_opened_total"
	attemptsBack   = "orderly_attempts_given_back_total"

	rebalances         = "orderly_rebalances_total"
	partitionsAssigned = "orderly_partitions_assigned_total"
	partitionsRevoked  = "orderly_partitions_revoked_total"
	partitionsLost     = "orderly_partitions_lost_total"
	drainDuration      = "orderly_drain_duration_seconds"
	commits            = "orderly_commits_total"
	commitDuration     = "orderly_commit_duration_seconds"
	lastCommit         = "orderly_commit_last_success_timestamp_seconds"
	warnings           = "orderly_warnings_total"

	joined         = "orderly_group_joined"
	generation     = "orderly_group_generation"
	silent         = "orderly_coordinator_silent"
	bufferRecords  = "orderly_buffer_records"
	bufferBytes    = "orderly_buffer_bytes"
	bufferLimit    = "orderly_buffer_limit_records"
	bufferMaxBytes = "orderly_buffer_limit_bytes"
	handlersLimit  = "orderly_handlers_limit"
	windowLimit    = "orderly_partition_window_limit_records"
	loopTurns      = "orderly_loop_turns_total"
	loopTurn       = "orderly_loop_turn_seconds"
	loopLimit      = "orderly_loop_turn_limit_seconds"

	blockedByState = "orderly_keys_blocked"

	received     = "orderly_partition_records_received_total"
	commitLag    = "orderly_partition_commit_lag_records"
	undone       = "orderly_partition_undone_records"
	oldestUndone = "orderly_partition_oldest_undone_timestamp_seconds"
	doneAhead    = "orderly_partition_done_ahead_records"
	notRecorded  = "orderly_partition_done_ahead_not_recorded_records"
	window       = "orderly_partition_window_records"
	running      = "orderly_partition_handlers_running"
	keysActive   = "orderly_partition_keys_active"
	keysBlocked  = "orderly_partition_keys_blocked"
	oldestBlock  = "orderly_partition_keys_blocked_oldest_timestamp_seconds"
	behind       = "orderly_partition_records_behind_blocked"
	state        = "orderly_partition_state"
	committedAt  = "orderly_partition_committed_offset"
	logStart     = "orderly_partition_log_start_offset"
	logEnd       = "orderly_partition_log_end_offset"
	headroom     = "orderly_partition_retention_headroom_records"
	parkedKeys   = "orderly_partition_keys_parked"
	parkedNow    = "orderly_partition_records_parked"
	parkedBytes  = "orderly_partition_parked_bytes"
	numberedKeys = "orderly_partition_sequence_keys"
	numbersGone  = "orderly_partition_sequence_keys_forgotten"
	oldestParked = "orderly_partition_keys_parked_oldest_timestamp_seconds"
	parkingVoid  = "orderly_partition_parking_void_entries"
	pauses       = "orderly_partition_pauses"
)

var table = []Metric{
	{recordsDone, "counter", with(byTopic, "outcome"), "Records that are done and are never handed over again; ok: by their handler. outcome: " + list(outcomes) + "."},
	{recordsRetried, "counter", byTopic, "Records done that needed more than one attempt."},
	{attemptsFailed, "counter", with(byTopic, "class"), "Attempts that failed; unavailable ones are not spent. class: " + list(classes) + "."},
	{handlerDuration, "histogram", with(byTopic, "outcome"), "Time of one call of the handler (of a batch handler: for all its records). Of calls that come faster than 500 a second some are timed, one in 64 at the least: count records with orderly_records_done_total. outcome: " + list(callOutcomes) + "."},
	{recordAge, "histogram", byTopic, "Age of a record, by its timestamp, when its handler has returned without an error; of the calls that are timed, and of a batch one record in 16."},
	{recordsDropped, "counter", with(byTopic, "reason"), "Records or results that no longer counted because their partition had left. late: handlers' results; unstarted and lost: waited here; not-owned: read here; late-dead-letter: acknowledged too late, so that the next owner may write another. reason: " + list(dropReasons) + "."},
	{recordsRedelivered, "counter", byTopic, "Records that the next owner gets again although their handler was called here, at the most: done and in no commit, or still running when the partition left."},
	{deadLetters, "counter", with(byTopic, "reason"), "Records of the topic whose dead letter was acknowledged. reason: " + list(givenUpReasons) + "."},
	{recordsSkipped, "counter", with(byTopic, "reason"), "Records skipped under OnExhausted skip, or by an operator, blocked or parked. reason: " + list(givenUpReasons) + "."},
	{recordsParked, "counter", with(byTopic, "reason"), "Records that were parked. reason: " + list(parkedReasons) + " (behind another of its key)."},
	{recordsReleased, "counter", byTopic, "Parked records that are done."},
	{holes, "counter", with(byTopic, "policy"), "Holes in the order of keys: records that later ones of their key have passed unhandled. policy: " + list(passingPolicies) + "."},
	{sequenceFindings, "counter", with(byTopic, "finding"), "Records about whose numbers the sequence guard (ConsumerConfig.Sequence) has found something out; duplicates are skipped. Of one record once under one owner. finding: " + list(findings) + "."},
	{writeFailures, "counter", with(byTopic, "then"), "Dead letters that could not be written, each try; their keys wait. then: " + list(writeThen) + " (OnWriteFailure decides)."},
	{parkingFailures, "counter", with(byTopic, "then"), "Records that could not be parked, each try; their keys wait. then: " + list(writeThen) + " (OnWriteFailure decides)."},
	{handlersStuck, "counter", byTopic, "Reports of handlers that did not return although their context had ended; each is reported again when it is twice as old."},
	{orderViolations, "counter", with(byGroup, "kind"), "Violations of order seen by the check on itself, which looks at one in 64 keys. Not zero: a fault of orderly. kind: " + list(violationKinds) + "."},

	{breakerState, "gauge", with(byGroup, "state"), "1 for the breaker's state; none when it is disabled. state: " + list(breakerStates) + "."},
	{breakerNext, "gauge", byGroup, "When the breaker asks its probe next, or tries a head; 0: it is not open."},
	{breakerShare, "gauge", byGroup, "How many keys run at a time while the breaker is half open; else 0."},
	{breakerFailing, "gauge", byGroup, "Keys that failed and have not succeeded since, as the breaker sees them; counted up to 8,192."},
	{breakerOpened, "counter", with(byGroup, "how"), "Times that the breaker opened. how: " + list(openedHow) + " (after it had let something through)."},
	{attemptsBack, "counter", byGroup, "Attempts that are not counted any more, as they were spent while the breaker opened."},

	{rebalances, "counter", with(byGroup, "cause"), "Generations of the group that this member came to. cause: " + list(causes) + "."},
	{partitionsAssigned, "counter", with(byTopic, "how"), "Partitions whose fencing token was granted. how: new, or regranted (it was ours before)."},
	{partitionsRevoked, "counter", with(byTopic, "drain"), "Partitions given up in order. drain: clean, or late (a handler had not returned at the deadline)."},
	{partitionsLost, "counter", byTopic, "Partitions taken away without a chance to commit."},
	{drainDuration, "histogram", byGroup, "How long running handlers took to return when their partition was given up."},
	{commits, "counter", with(byTopic, "outcome"), "Offset commits of a partition. fenced: the coordinator refused this member's generation; unknown: no answer. outcome: " + list(commitOutcomes) + "."},
	{commitDuration, "histogram", byGroup, "Time until an offset commit was answered."},
	{lastCommit, "gauge", byGroup, "When a commit was last acknowledged; 0: never. Commits are sent only when there is something new."},
	{warnings, "counter", with(byGroup, "code"), "Warnings, by the code that docs/operating.md explains."},

	{joined, "gauge", byGroup, "1 when the member is in its group."},
	{generation, "gauge", byGroup, "Generation (or member epoch) of the group."},
	{silent, "gauge", byGroup, "1 when the coordinator was not heard for the session timeout: nothing starts."},
	{bufferRecords, "gauge", byGroup, "Records that wait or run."},
	{bufferBytes, "gauge", byGroup, "Bytes of these."},
	{bufferLimit, "gauge", byGroup, "Buffer.Records."},
	{bufferMaxBytes, "gauge", byGroup, "Buffer.Bytes."},
	{handlersLimit, "gauge", byGroup, "Concurrency."},
	{windowLimit, "gauge", byGroup, "Buffer.Window, of one partition."},
	{loopTurns, "counter", with(byGroup, "loop"), "Turns of the consumer's own loops: poll, commit, tend."},
	{loopTurn, "gauge", with(byGroup, "loop"), "How long the present turn has taken; 0: it waits for the next."},
	{loopLimit, "gauge", with(byGroup, "loop"), "A turn that takes longer is stuck: /livez fails."},

	{blockedByState, "gauge", with(byTopic, "state"), "Blocked keys by what they wait for. docs/operating.md explains the states. state: " + list(keyStates) + "."},

	{received, "counter", byPartition, "Records that this member has taken in since it got the partition, without control records and those that were done before."},
	{commitLag, "gauge", byPartition, "Offsets from the last commit to the log's end (read committed: to the last stable offset). Looked up every 10 s, also while paused. A blocked key makes it grow though others are done."},
	{undone, "gauge", byPartition, "Records that are not done, those not yet read included. The lag to scale on."},
	{oldestUndone, "gauge", byPartition, "Timestamp of the oldest record that was read and is not done, up to a second early; 0: there is none."},
	{doneAhead, "gauge", byPartition, "Records done above the oldest that is not."},
	{notRecorded, "gauge", byPartition, "Of those, records that did not fit the last commit's metadata: they come again at the next owner."},
	{window, "gauge", byPartition, "Records from the oldest that is not done to the newest read."},
	{running, "gauge", byPartition, "Calls of the handler under way."},
	{keysActive, "gauge", byPartition, "Keys (or lanes) with records that wait or run."},
	{keysBlocked, "gauge", byPartition, "Keys whose oldest record failed and waits."},
	{oldestBlock, "gauge", byPartition, "Since when the key waits that has been blocked longest; 0: none is."},
	{behind, "gauge", byPartition, "Records that wait behind blocked ones of their key."},
	{state, "gauge", with(byPartition, "state"), "1 when the partition waits for this reason. docs/operating.md explains them. state: " + list(states) + "."},
	{committedAt, "gauge", byPartition, "Committed offset."},
	{logStart, "gauge", byPartition, "Where the log begins."},
	{logEnd, "gauge", byPartition, "Where it ends (read committed: the last stable offset)."},
	{parkedKeys, "gauge", byPartition, "Keys that are parked."},
	{parkedNow, "gauge", byPartition, "Parked records of those keys."},
	{parkedBytes, "gauge", byPartition, "Bytes of the parked records."},
	{numberedKeys, "gauge", byPartition, "Keys whose numbers the sequence guard remembers."},
	{numbersGone, "gauge", byPartition, "Keys that it has forgotten under this ownership to make room for others: of these it knows nothing any more."},
	{oldestParked, "gauge", byPartition, "When the key failed first that was parked first; 0: none is. Up to 10 s old."},
	{parkingVoid, "gauge", byPartition, "Entries of the parking topic that do not count, as owners wrote them that had been replaced. Some come with handovers."},
	{pauses, "gauge", byPartition, "Pauses in force that operators have ordered: of the partition, or of keys."},
	{headroom, "gauge", byPartition, "Offsets between the log's beginning and the committed offset: when retention takes them all, records that are not done are deleted next."},
}

// Outcomes of records that were given up.
const (
	deadLettered = "dead-lettered"
	skipped      = "skipped"
	duplicate    = "duplicate" // told by the sequence guard
)

// The values of labels, each fixed: series exist from the start, so that 0 and
// "not there" differ. TestNoValueIsForgotten compares them with the consumer's code.
var (
	outcomes        = []string{"ok", deadLettered, skipped, duplicate}
	classes         = []string{"error", "timeout", "panic", "undecodable", "permanent", "unavailable"}
	givenUpReasons  = []string{"permanent", "exhausted", "operator"}
	passingPolicies = []string{string(orderly.PolicyDeadLetter), string(orderly.PolicySkip)}
	findings        = []string{orderly.SequenceDuplicate, orderly.SequenceGap, orderly.SequenceLate, orderly.SequenceZombie, orderly.SequenceUnsure}
	writeThen       = []string{"again", "gave-up"}
	breakerStates   = []string{orderly.BreakerClosed, orderly.BreakerOpen, orderly.BreakerHalfOpen}
	openedHow       = []string{"new", "again"}
	keyStates       = orderly.BlockedStates()
	callOutcomes    = []string{"ok", "error"}
	dropReasons     = []string{"late", "unstarted", "lost", "not-owned", "late-dead-letter"}
	violationKinds  = []string{"overlap", "overtaken"}
	causes          = []string{"joined", "dropped", "asked", "group"}
	commitOutcomes  = []string{"ok", "fenced", "failed", "unknown"}
	assignedHow     = []string{"new", "regranted"}
	drains          = []string{"clean", "late"}
	states          = []string{"awaiting-grant", "coordinator-silent", "draining", "window-full", "buffer-full", "breaker-open",
		"awaiting-parking", "parking-unreadable", "parking-mismatch", "parking-damaged", "parking-partition-missing", "paused"}
	parkedReasons = append(givenUpReasons[:len(givenUpReasons):len(givenUpReasons)], "follows")
	warningCodes  = []string{"no-topic-ids", "foreign-commit", "foreign-member", "metadata-ignored", "topic-recreated",
		"offset-reset", "partitions-grew", "coordinator-silent", "eager-member", "order-breaking-policy", "classify", "one-at-a-time", "store-lost", "store-behind",
		"parking-mismatch", "parking-damaged", "parking-not-trimmed", "mixed-policies"}
)

func list(values []string) string {
	text := ""
	for i, v := range values {
		if i > 0 {
			text += ", "
		}
		text += v
	}
	return text
}
