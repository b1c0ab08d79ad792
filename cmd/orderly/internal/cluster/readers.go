package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderly-go/orderly/cmd/orderly/internal/finding"
	"github.com/orderly-go/orderly/cmd/orderly/internal/plural"
)

// random matches ids that are made anew at each start.
var random = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{16,}`)

func (c *check) groups() {
	if !c.can(apiGroups, "C10", "C11") || !c.can(apiDescribe, "C10", "C11") {
		return
	}
	c.r.Cannot("a group's description names the assignor that was chosen, and not all that members offer", "C02")
	var unstable, share []string
	for _, g := range c.f.Groups {
		for _, m := range g.Members {
			if random.MatchString(m.InstanceID) {
				unstable = append(unstable, fmt.Sprintf("group %s: %s (client %s)", g.Name, m.InstanceID, m.ClientID))
			}
		}
		if g.Type != "share" {
			continue
		}
		var on []string
		for _, m := range g.Members {
			for _, t := range m.Topics {
				if slices.ContainsFunc(c.f.Topics, func(o Topic) bool { return o.Name == t && !o.Internal }) {
					on = append(on, t)
				}
			}
		}
		slices.Sort(on)
		if on = slices.Compact(on); len(on) > 0 {
			share = append(share, fmt.Sprintf("group %s: topics %s", g.Name, strings.Join(on, ", ")))
		}
	}
	if len(unstable) > 0 {
		c.r.Add(finding.Finding{Rule: "C10", Severity: finding.Warn, What: "members have a group.instance.id that looks made anew at each start: the old one keeps its partitions until its session ends", Where: cut(unstable)})
	}
	if len(share) > 0 {
		sev := finding.Warn
		if c.f.Named {
			sev = finding.Error
		}
		c.r.Add(finding.Finding{Rule: "C11", Severity: sev, What: "share groups read these topics: records come one by one to any member, in no order per key", Where: cut(share)})
	}
}

func (c *check) lag() {
	if !c.can(apiGroups, "B11", "L07") || !c.can(apiCommits, "B11", "L07") || !c.can(apiOffsets, "B11", "L07") {
		return
	}
	onTime := c.can(apiConfigsTopic, "B11") && c.can(apiRecords, "B11")
	var beyond, gone, soon []string
	for _, g := range c.f.Groups {
		for _, k := range g.Commits {
			p := c.partition(k.Topic, k.Partition)
			if p == nil || !p.listed {
				continue
			}
			at := fmt.Sprintf("group %s, topic %s partition %d: committed %d, the log has %d to %d", g.Name, k.Topic, k.Partition, k.Offset, p.Start, p.End-1)
			switch {
			case k.Offset > p.End:
				beyond = append(beyond, at)
			case k.Offset < p.Start:
				gone = append(gone, fmt.Sprintf("%s: %s went unread", at, plural.Of(p.Start-k.Offset, "offset")))
			case onTime && !k.Next.IsZero():
				keep, err := strconv.ParseInt(c.setting(k.Topic, "retention.ms"), 10, 64)
				if age := c.f.Now.Sub(k.Next); err == nil && keep > 0 && strings.Contains(c.setting(k.Topic, "cleanup.policy"), "delete") && age*5 > time.Duration(keep)*time.Millisecond*4 {
					soon = append(soon, fmt.Sprintf("%s: the next record is %s old, and kept for %s", at, age.Round(time.Second), time.Duration(keep)*time.Millisecond))
				}
			}
		}
	}
	if len(beyond) > 0 {
		c.r.Add(finding.Finding{Rule: "L07", Severity: finding.Error, What: plural.Of(len(beyond), "commit") + plural.Verb(len(beyond), " is", " are") + " beyond the end of the log", Where: cut(beyond)})
	}
	if len(gone) > 0 {
		c.r.Add(finding.Finding{Rule: "B11", Severity: finding.Error, What: plural.Of(len(gone), "partition") + plural.Verb(len(gone), " has", " have") + " deleted what a group had not read", Where: cut(gone), Damage: "yes: these records were deleted before the group read them"})
	}
	if len(soon) > 0 {
		c.r.Add(finding.Finding{Rule: "B11", Severity: finding.Warn, What: plural.Of(len(soon), "partition") + " will soon delete what a group has not read", Where: cut(soon), Damage: "not yet"})
	}
}

func (c *check) setting(topic, name string) string {
	for _, t := range c.f.Topics {
		if t.Name == topic {
			return t.Settings[name].Value
		}
	}
	return ""
}
