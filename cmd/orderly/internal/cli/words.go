package cli

import (
	"regexp"
	"strings"

	"github.com/orderly-go/orderly"
)

// The library's errors name its own settings and calls. These are the phrases in
// which it does so, in the words of the command line.
var phrases = []string{
	"the smaller of MaxBatchBytes and the topic's max.message.bytes", "the smaller of --max-record-bytes and the topic's max.message.bytes",
	"within DeliveryTimeout (", "within --delivery-timeout (",
	"; send again from there on after Clear", "",
	"; the key is closed until Clear, so that no later record passes it", "; no later record of the key was written",
	"set Reset to ResetEarliest or ResetLatest to go on by name", "set --reset earliest or --reset latest to go on by name",
	"check the addresses, or raise StartTimeout", "are they the right addresses, and the right TLS and user settings? \"orderly config\" shows them",
	"set ProducerConfig.Partitions to what it had", "set --partitions to what it had",
	"start a new producer to use", "start again without it to use",
	"start a new producer to write", "start again to write",
	"take the group over with Balancer: MigrateFrom(...)", otherGroup,
	"give all members the same balancer, or take the group over with MigrateFrom", otherGroup,
}

var rephrase = strings.NewReplacer(phrases...)

const otherGroup = "end its other members, or use another group (-g)"

var setPartitions = regexp.MustCompile(`Set ProducerConfig\.Partitions\["[^"]*"\] = ([0-9]+)`)

// settings are the flags for what a ConfigError may name.
var settings = strings.NewReplacer(
	"Retry.MaxAttempts", "--max-attempts", "Retry.Backoff", "--backoff", "Retry.MaxBackoff", "--max-backoff",
	"SessionTimeout", "--session-timeout", "Concurrency", "--concurrency", "DeliveryTimeout", "--delivery-timeout", "MaxBatchBytes", "--max-record-bytes",
)

// words is the text of an error for who uses the command line.
func words(err error) string {
	text := setPartitions.ReplaceAllString(rephrase.Replace(err.Error()), "Set --partitions $1")
	if is[*orderly.ConfigError](err) {
		text = settings.Replace(text)
	}
	return text
}
