package balance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var benchSizes = []int{10, 100, 1000, 10_000, 100_000}

// benchBalancer has n healthy members of the weights 1, 2 and 3, all measured, some busy.
func benchBalancer(b *testing.B, name string, n int) *Balancer {
	b.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	c := Config{Pick: name}
	if name == pickCustom {
		c.Custom = func(_ string, c []Candidate) int { return 0 }
	}
	bal, err := New(c, rnd)
	if err != nil {
		b.Fatal(err)
	}
	list := make([]Member, n)
	for i := range list {
		load := new(Load)
		load.Observe(time.Second, time.Duration(1+rnd.IntN(100))*time.Millisecond)
		load.Inflight.Store(int32(rnd.IntN(4)))
		list[i] = Member{ID: fmt.Sprint("e", i), Weight: 1 + i%3, Load: load}
	}
	bal.SetMembers(list)
	for i := range list {
		bal.SetStatus(i, Status{Ready: true, Eligible: true})
	}
	return bal
}

func BenchmarkPick(b *testing.B) {
	for i := range strategies {
		if strategies[i].pick == nil {
			continue
		}
		b.Run(strategies[i].name, func(b *testing.B) {
			for _, n := range benchSizes {
				if strategies[i].name == pickCustom && n > 1000 {
					continue
				}
				b.Run(fmt.Sprint(n), func(b *testing.B) {
					bal := benchBalancer(b, strategies[i].name, n)
					now := time.Second
					b.ReportAllocs()
					for b.Loop() {
						now += 10 * time.Microsecond
						if _, err := bal.Pick(now, Request{}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
