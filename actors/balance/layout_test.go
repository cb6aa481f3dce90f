package balance

// checkLayout recounts everything that a layout keeps count of.
func checkLayout(t tester, b *Balancer) {
	t.Helper()
	eligible, reserve := 0, 0
	tiers := make([]tier, len(b.tiers))
	groups := make([]group, len(b.groups))
	for i := range b.members {
		m := &b.members[i]
		seen := m.place
		if m.asleep {
			seen = out
		}
		equal(t, "place", m.place, b.place(m.status))
		equal(t, "slow start only of the eligible", m.cold && m.place > Suspect, false)
		equal(t, "only whoever is in slow start sleeps", m.asleep && !m.cold, false)
		equal(t, "slot", b.slots[m.slot].index, int32(i))
		equal(t, "cold", b.cold.next(m.pos, m.pos+1) == m.pos, m.cold)
		equal(t, "asleep", b.asleep.next(m.pos, m.pos+1) == m.pos, m.asleep)
		equal(t, "due", b.due.next(m.pos, m.pos+1) == m.pos, m.status.TrialDue && m.place <= Suspect)
		if m.place <= Suspect {
			eligible++
		}
		if m.place == LastResort {
			reserve++
		}
		for r := Healthy; r < out; r++ {
			equal(t, "ranked", b.ranked[r].next(m.pos, m.pos+1) == m.pos, seen == r)
			equal(t, "in front", m.slot < b.tiers[m.tier].end[r], seen <= r)
			if seen <= r {
				tiers[m.tier].end[r]++
				groups[m.group].upTo[r]++
				if !m.cold {
					tiers[m.tier].warm[r] += m.weight
				}
			}
			if m.asleep && m.place <= r {
				tiers[m.tier].asleep[r]++
			}
		}
	}
	equal(t, "eligible", b.eligible, eligible)
	equal(t, "reserve", b.reserve, reserve)
	for k, want := range tiers {
		got := b.tiers[k]
		for r := range got.end {
			got.end[r] -= got.lo
		}
		equal(t, "ends", got.end, want.end)
		equal(t, "sleepers", got.asleep, want.asleep)
		equal(t, "warm", got.warm, want.warm)
	}
	for k, want := range groups {
		equal(t, "group", b.groups[k].upTo, want.upTo)
	}
}
