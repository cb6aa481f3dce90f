package balance

import "time"

// weighted is smooth weighted round robin (nginx, 2012), exact over every round: at
// 3:2:1, 600 picks are 300, 200 and 100, and a member's picks are spread out.
//
// nginx looks at every member in each pick. Here those of one weight are one party
// with the sum of their weights, and take its picks in turn. The counts are the same,
// those of one weight alternate as evenly as can be, and a pick costs O(different
// weights of the tier) instead of O(members).
func (b *Balancer) weighted(t *tier, last Rank, _ time.Duration, _ string) (int, error) {
	groups := b.groups[t.groupLo:t.groupHi]
	total := int64(0)
	for i := range groups {
		total += groups[i].weight * int64(groups[i].upTo[last])
	}
	if total != t.total {
		t.total = total
		settle(groups, total)
	}
	var best *group
	for i := range groups {
		g := &groups[i]
		if g.upTo[last] == 0 {
			continue
		}
		g.credit += g.weight * int64(g.upTo[last])
		if best == nil || g.credit > best.credit {
			best = g
		}
	}
	best.credit -= total
	return b.turn(best, last), nil
}

// settle bounds what is owed by one round of those who are candidates now. Else, when
// most of a large set leaves, whoever happens to have been picked last would owe the
// round of all that left, and starve.
func settle(groups []group, total int64) {
	for i := range groups {
		g := &groups[i]
		g.credit = min(max(g.credit, -total), total)
	}
}
