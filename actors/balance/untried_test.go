package balance

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Of four members whom nobody knows, one is well: three attempts reach it in three of
// four services, wherever it stands in the list.
func TestRetriesReachEveryUntriedMemberAlike(t *testing.T) {
	const services = 2000
	for _, pick := range []string{pickDefault, "least_connections"} {
		for well := range 4 {
			missed := 0
			for seed := range uint64(services) {
				b, err := New(Config{Pick: pick}, rand.New(rand.NewPCG(seed, 2)))
				if err != nil {
					t.Fatal(err)
				}
				f := &fixture{t, b, named(4), time.Second}
				b.SetMembers(f.list)
				var service Average
				var tried []string
				for i := range f.list {
					f.SetStatus(i, ranked(Unknown))
				}
				for len(tried) < 3 {
					i := f.pickFor(Request{Tried: tried, Retry: len(tried) > 0})
					if i == well {
						break
					}
					f.members[i].Load.Fail(f.now, time.Millisecond, &service)
					tried = append(tried, f.list[i].ID)
				}
				if len(tried) == 3 {
					missed++
				}
			}
			if share := float64(missed) / services; share < 0.2 || share > 0.3 {
				t.Errorf("%s: e%d is missed by %.0f%%, want 25%%", pick, well, 100*share)
			}
		}
	}
}

// Whoever is retried all the time shifts nobody's turns at first attempts.
func TestRetriesTakeNobodysTurn(t *testing.T) {
	const rounds = 1000
	for _, n := range []int{3, 10, 50} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			f := newFixture(t, Config{}, named(n)...)
			for i := range f.list {
				f.list[i].Load.Observe(f.now, time.Millisecond)
			}
			first := make([]int, n)
			for range rounds * n {
				i := f.next()
				if first[i]++; i == 0 {
					f.pickFor(Request{Tried: []string{"e0"}, Retry: true})
				}
			}
			if least, most := slices.Min(first), slices.Max(first); least < rounds*98/100 || most > rounds*102/100 {
				t.Errorf("first attempts from %d to %d, want %d each", least, most, rounds)
			}
		})
	}
}
