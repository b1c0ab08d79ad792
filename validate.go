package orderly

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var orderByName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// validate returns all problems of a configuration that has its defaults.
func (c *ConsumerConfig) validate() error {
	var ps []string
	bad := func(format string, args ...any) { ps = append(ps, fmt.Sprintf(format, args...)) }

	if len(c.Brokers) == 0 {
		bad("Brokers is empty: name at least one seed broker, host:port")
	}
	for _, b := range c.Brokers {
		if strings.TrimSpace(b) == "" {
			bad("Brokers has an empty address: each is host:port")
		}
	}
	if c.Group == "" {
		bad("Group is empty: progress is kept under a consumer group's name")
	}
	if len(c.Topics) == 0 {
		bad("Topics is empty: name at least one topic")
	}
	for i, t := range c.Topics {
		if t == "" {
			bad("Topics has an empty name")
		} else if slices.Contains(c.Topics[:i], t) {
			bad("Topics names %q twice", t)
		}
	}
	switch forms := slices.DeleteFunc([]string{"Handler", "Batch.Handler", "Effects"}, func(form string) bool {
		return map[string]bool{"Handler": c.Handler == nil, "Batch.Handler": c.Batch.Handler == nil, "Effects": !c.Effects.on()}[form]
	}); {
	case len(forms) == 0:
		bad("none of Handler, Batch.Handler and Effects is set: exactly one of them processes the records")
	case len(forms) > 1:
		bad("%s are set: exactly one of Handler, Batch.Handler and Effects processes the records", strings.Join(forms, " and "))
	}
	c.effectsProblems(bad)
	if c.Batch.Handler == nil && (c.Batch.Max != 0 || c.Batch.Wait != 0) {
		bad("Batch.Max or Batch.Wait is set without Batch.Handler: they bound its calls")
	}
	within(bad, c.Batch.Handler != nil, "Batch.Max", c.Batch.Max, 1, 10_000)
	within(bad, true, "Batch.Wait", c.Batch.Wait, 0, 10*time.Second)
	if c.Scope != ScopeKey && c.Scope != ScopePartition {
		bad("Scope %d is neither ScopeKey nor ScopePartition", c.Scope)
	}
	switch {
	case c.OrderBy.Key != nil && c.OrderBy.Name == "":
		bad("OrderBy.Key is set without OrderBy.Name: the name is stored with the progress, so that another function is noticed")
	case c.OrderBy.Key == nil && c.OrderBy.Name != "":
		bad("OrderBy.Name %q is set without OrderBy.Key", c.OrderBy.Name)
	case c.OrderBy.Name != "" && !orderByName.MatchString(c.OrderBy.Name):
		bad("OrderBy.Name %q: it is 1 to 64 of lower case letters, digits, '.', '-' and '_'", c.OrderBy.Name)
	}
	if c.OrderBy.Key != nil && c.Scope == ScopePartition {
		bad("OrderBy is set with ScopePartition: there the whole partition is one sequence, and no key matters")
	}
	if c.NullKeys != NullKeysSequence && c.NullKeys != NullKeysReject {
		bad("NullKeys %d is neither NullKeysSequence nor NullKeysReject", c.NullKeys)
	}
	c.policyProblems(bad)
	c.Sequence.problems(bad)
	within(bad, true, "Retry.MaxAttempts", c.Retry.MaxAttempts, 1, 1_000_000)
	within(bad, true, "Retry.Backoff", c.Retry.Backoff, time.Millisecond, 24*time.Hour)
	within(bad, true, "Retry.MaxBackoff", c.Retry.MaxBackoff, c.Retry.Backoff, 24*time.Hour)
	c.Breaker.validate(bad)
	within(bad, true, "Concurrency", c.Concurrency, 1, 100_000)
	within(bad, true, "Lanes", c.Lanes, 1, 65_536)
	within(bad, true, "Buffer.Records", c.Buffer.Records, 16, 100_000_000)
	within(bad, true, "Buffer.Bytes", c.Buffer.Bytes, 64<<10, 1<<40)
	within(bad, true, "Buffer.Window", c.Buffer.Window, 16, 100_000_000)
	within(bad, true, "AttemptTimeout", c.AttemptTimeout, 0, 24*time.Hour)
	within(bad, true, "CommitInterval", c.CommitInterval, 10*time.Millisecond, time.Hour)
	within(bad, true, "StartTimeout", c.StartTimeout, 0, 24*time.Hour)
	within(bad, true, "SessionTimeout", c.SessionTimeout, 100*time.Millisecond, 30*time.Minute)
	within(bad, true, "RebalanceTimeout", c.RebalanceTimeout, 100*time.Millisecond, time.Hour)
	within(bad, true, "HeartbeatInterval", c.HeartbeatInterval, 10*time.Millisecond, min(c.SessionTimeout, c.RebalanceTimeout)/2)
	within(bad, true, "DrainTimeout (two thirds of the smaller of SessionTimeout and RebalanceTimeout at the most: later the group has given the partition away)",
		c.DrainTimeout, 10*time.Millisecond, c.longestDrain())
	if c.Reset < ResetStop || c.Reset > ResetLatest {
		bad("Reset %d is none of ResetStop, ResetEarliest, ResetLatest", c.Reset)
	}
	if c.OnStuckHandler != StuckReport && c.OnStuckHandler != StuckExit {
		bad("OnStuckHandler %d is neither StuckReport nor StuckExit", c.OnStuckHandler)
	}
	if c.LogKeys < KeysHash || c.LogKeys > KeysNone {
		bad("LogKeys %d is none of KeysHash, KeysPlain, KeysNone", c.LogKeys)
	}
	if err := c.Balancer.validate(); err != "" {
		bad("%s", err)
	}
	ps = append(ps, refusedOpts(c.KafkaOpts)...)
	if len(ps) > 0 {
		return &ConfigError{Problems: ps}
	}
	return nil
}

func within[T int | int64 | time.Duration](bad func(string, ...any), when bool, name string, v, lo, hi T) {
	if when && (v < lo || v > hi) {
		bad("%s is %v: it must be from %v to %v", name, v, lo, hi)
	}
}

// refused are the client options that would break the contract, each with the
// way out.
var refused = []struct {
	name string
	opt  any
	why  string
}{
	{"SeedBrokers", kgo.SeedBrokers, "set Brokers"},
	{"ConsumerGroup", kgo.ConsumerGroup, "set Group"},
	{"ShareGroup", kgo.ShareGroup, "a share group has no order; set Group"},
	{"ConsumeTopics", kgo.ConsumeTopics, "set Topics"},
	{"ConsumeRegex", kgo.ConsumeRegex, "name the topics in Topics"},
	{"ConsumePartitions", kgo.ConsumePartitions, "partitions are assigned by the group"},
	{"ConsumeStartOffset", kgo.ConsumeStartOffset, "set Start"},
	{"ConsumeResetOffset", kgo.ConsumeResetOffset, "set Start and Reset"},
	{"FetchIsolationLevel", kgo.FetchIsolationLevel, "set ReadUncommitted"},
	{"Balancers", kgo.Balancers, "set Balancer"},
	{"InstanceID", kgo.InstanceID, "set InstanceID"},
	{"SessionTimeout", kgo.SessionTimeout, "set SessionTimeout"},
	{"RebalanceTimeout", kgo.RebalanceTimeout, "set RebalanceTimeout"},
	{"HeartbeatInterval", kgo.HeartbeatInterval, "set HeartbeatInterval"},
	{"DisableAutoCommit", kgo.DisableAutoCommit, "it is always so: only the consumer itself commits, and only what is done"},
	{"GreedyAutoCommit", kgo.GreedyAutoCommit, "auto-commit commits records that are not done"},
	{"AutoCommitMarks", kgo.AutoCommitMarks, "only the consumer itself commits, and only what is done"},
	{"AutoCommitInterval", kgo.AutoCommitInterval, "set CommitInterval"},
	{"AutoCommitCallback", kgo.AutoCommitCallback, "use Events.Committed"},
	{"BlockRebalanceOnPoll", kgo.BlockRebalanceOnPoll, "a slow poll would hold up the whole group; the consumer drains on revoke instead"},
	{"OnPartitionsCallbackBlocked", kgo.OnPartitionsCallbackBlocked, "the consumer never blocks a rebalance on a poll"},
	{"OnOffsetsFetched", kgo.OnOffsetsFetched, "use Events.Assigned"},
	{"AdjustFetchOffsetsFn", kgo.AdjustFetchOffsetsFn, "set Start; moving a group's offsets is an operator's command"},
	{"KeepControlRecords", kgo.KeepControlRecords, "the consumer reads them itself, to know how far a partition is done; handlers never see them"},
	{"TransactionalID", kgo.TransactionalID, "Kafka transactions are not supported"},
	{"DisableIdempotentWrite", kgo.DisableIdempotentWrite, "what the consumer writes is idempotent"},
}

// refusedCallbacks are refused as well. A client in a group puts functions of its
// own in their place, so that they cannot be compared.
var refusedCallbacks = []struct {
	name string
	none kgo.Opt // takes it back
	why  string
}{
	{"OnPartitionsAssigned", kgo.OnPartitionsAssigned(nil), "use Events.Assigned"},
	{"OnPartitionsRevoked", kgo.OnPartitionsRevoked(nil), "use Events.Revoked"},
	{"OnPartitionsLost", kgo.OnPartitionsLost(nil), "use Events.Lost"},
}

// refusedOpts compares what the options set with clients that have none: one
// outside of a group and one inside, which sets some options by itself. The
// clients do not connect to anything.
func refusedOpts(opts []kgo.Opt) (problems []string) {
	if len(opts) == 0 {
		return nil
	}
	group := []kgo.Opt{kgo.ConsumerGroup("check"), kgo.ConsumeTopics("check")}
	var plain []*kgo.Client
	for _, base := range [][]kgo.Opt{nil, group} {
		cl, err := kgo.NewClient(base...)
		if err != nil {
			return []string{fmt.Sprintf("KafkaOpts cannot be checked: %v", err)}
		}
		defer cl.Close()
		plain = append(plain, cl)
	}
	given, err := kgo.NewClient(opts...)
	if err != nil {
		// Options about groups are refused by a client that is in none.
		if given, err = kgo.NewClient(slices.Concat(group, opts)...); err != nil {
			return []string{fmt.Sprintf("KafkaOpts: %v", err)}
		}
	}
	defer given.Close()
	for _, r := range refused {
		vals := given.OptValues(r.opt)
		if !slices.ContainsFunc(plain, func(cl *kgo.Client) bool { return same(cl.OptValues(r.opt), vals) }) {
			problems = append(problems, fmt.Sprintf("KafkaOpts: kgo.%s is refused: %s", r.name, r.why))
		}
	}
	for _, opt := range opts {
		// Outside of a group a client refuses such a callback.
		outside := kgo.ConsumerGroup("")
		if kgo.ValidateOpts(opt, outside) == nil {
			continue
		}
		for _, r := range refusedCallbacks {
			if kgo.ValidateOpts(opt, outside, r.none) == nil {
				problems = append(problems, fmt.Sprintf("KafkaOpts: kgo.%s is refused: %s", r.name, r.why))
			}
		}
	}
	return problems
}

func same(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		va, vb := reflect.ValueOf(a[i]), reflect.ValueOf(b[i])
		if va.IsValid() && va.Kind() == reflect.Func {
			if va.Pointer() != vb.Pointer() {
				return false
			}
			continue
		}
		if !reflect.DeepEqual(a[i], b[i]) {
			return false
		}
	}
	return true
}
