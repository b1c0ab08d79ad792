package orderly

import (
	"fmt"
	"strings"
)

// A GroupActiveError says that offsets cannot be reset: the group has members.
type GroupActiveError struct {
	Group   string
	Members []string // client id and host of each
}

// Error names them.
func (e *GroupActiveError) Error() string {
	if len(e.Members) == 1 {
		return fmt.Sprintf("orderly: group %s has a member (%s): stop it first; a reset moves a group that is stopped", e.Group, e.Members[0])
	}
	return fmt.Sprintf("orderly: group %s has %d members (%s): stop them first; a reset moves a group that is stopped", e.Group, len(e.Members), strings.Join(e.Members, ", "))
}

// A ResetUnfinishedError ends Run: a reset of offsets was begun and is not through. What
// is committed is of before, what a store says perhaps not.
type ResetUnfinishedError struct {
	Group, Topic string
	Partition    int32
	Offset       int64 // where it leads
}

// Error names the command that completes it.
func (e *ResetUnfinishedError) Error() string {
	return fmt.Sprintf("orderly: topic %s partition %d: a reset of group %s to offset %d was begun and is not through; complete it: %s",
		e.Topic, e.Partition, e.Group, e.Offset, resetCommand(e.Group, e.Topic, e.Partition, e.Offset, true))
}

// A MovedError, in a StoreError, says that the group's offset was moved and the store was
// not: for a consumer with Effects that moves nothing.
type MovedError struct {
	Group, Topic string
	Partition    int32
	Offset       int64 // where the group is now
	Foreign      bool  // it was moved by something other than orderly
}

// Error names the commands for both ways out.
func (e *MovedError) Error() string {
	by := "by a reset that named no store"
	if e.Foreign {
		by = "by something other than orderly"
	}
	return fmt.Sprintf("the offset of group %s was moved to %d %s, and the positions in the store, which decide, were not; to go there: %s; to stay where the store is: the same with --to stored",
		e.Group, e.Offset, by, resetCommand(e.Group, e.Topic, e.Partition, e.Offset, true))
}

// resetCommand is the command line of a reset.
func resetCommand(group, topic string, partition int32, to int64, stored bool) string {
	dsn := ""
	if stored {
		dsn = " --store DSN"
	}
	return fmt.Sprintf("\"orderly offsets reset -g %s -t %s --partitions %d --to %d%s --reason TEXT\"", group, topic, partition, to, dsn)
}
