package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ParseFault reads a fault as the command line has it:
// KIND:SETTING=VALUE,SETTING=VALUE.
func ParseFault(text string) (Fault, error) {
	kind, rest, _ := strings.Cut(text, ":")
	f := Fault{Kind: Kind(kind)}
	for setting := range strings.SplitSeq(rest, ",") {
		if setting == "" {
			continue
		}
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return f, &FaultError{fmt.Sprintf("fault %q: %q is no setting: settings are name=value, with commas between them", text, setting)}
		}
		if err := f.set(name, value); err != nil {
			return f, &FaultError{fmt.Sprintf("fault %q: %s=%s: %v", text, name, value, err)}
		}
	}
	return f.settle()
}

func (f *Fault) set(name, value string) (err error) {
	switch name {
	case "error":
		f.Error, err = parseError(value)
	case "share":
		f.Share, err = parseShare(value)
	case "for":
		f.For, err = time.ParseDuration(value)
	case "after":
		f.After, err = strconv.Atoi(value)
	case "times":
		f.Times, err = strconv.Atoi(value)
	case "skip":
		f.Skip, err = strconv.Atoi(value)
	case "topic":
		f.Topic = value
	case "client":
		f.Client = value
	case "group":
		f.Group = value
	case "api":
		f.API = value
	default:
		err = errors.New("there is no such setting; there are error, share, times, skip, after, for, topic, client, group, api")
	}
	return err
}

var errShare = errors.New("a share is as 0.01, 1% or 1/100")

// parseShare reads 0.01, 1% or 1/100.
func parseShare(value string) (float64, error) {
	if above, below, ok := strings.Cut(value, "/"); ok {
		a, err1 := strconv.ParseFloat(above, 64)
		b, err2 := strconv.ParseFloat(below, 64)
		if err1 != nil || err2 != nil || b == 0 {
			return 0, errShare
		}
		return a / b, nil
	}
	number, percent := strings.CutSuffix(value, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, errShare
	}
	if percent {
		v /= 100
	}
	return v, nil
}

// parseError reads a code, or its name as NOT_LEADER_FOR_PARTITION.
func parseError(value string) (int16, error) {
	if n, err := strconv.ParseInt(value, 10, 16); err == nil {
		return int16(n), nil
	}
	for code := int16(1); code < 1000; code++ {
		if e := kerr.TypedErrorForCode(code); e != nil && e.Code == code && e.Message == value {
			return code, nil
		}
	}
	return 0, errors.New("no error of Kafka's: give its code, or its name as NOT_ENOUGH_REPLICAS")
}
