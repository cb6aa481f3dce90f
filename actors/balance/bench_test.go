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

// A retry leaves out whom the request tried.
func BenchmarkPickRetry(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := benchBalancer(b, pickDefault, n)
			req := Request{Retry: true, Tried: []string{"e3", "e7"}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bal.Pick(time.Second, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One in ten is in slow start.
func BenchmarkPickWarming(b *testing.B) {
	for _, pick := range []string{"round_robin", "weighted", "least_connections", pickDefault} {
		for _, n := range []int{10, 100_000} {
			b.Run(fmt.Sprint(pick, "/", n), func(b *testing.B) {
				bal := benchBalancer(b, pick, n)
				for i := 0; i < n; i += 10 {
					bal.SetStatus(i, Status{Ready: true, Eligible: true, Warming: time.Second})
				}
				now := time.Second
				b.ReportAllocs()
				for b.Loop() {
					now++ // it lasts
					if _, err := bal.Pick(now, Request{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Members that turn suspect and out and back, one after the other.
func BenchmarkSetStatus(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := benchBalancer(b, pickDefault, n)
			turns := []Status{{Ready: true, Eligible: true, Rank: Suspect}, {Ready: true}, {Ready: true, Eligible: true}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bal.SetStatus(i/len(turns)*7919%n, turns[i%len(turns)])
			}
		})
	}
}

func BenchmarkSetMembers(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := benchBalancer(b, "weighted", n)
			list := make([]Member, n)
			for i := range list {
				list[i] = bal.members[i].Member
			}
			for b.Loop() {
				bal.SetMembers(list)
			}
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	var l Load
	var service Average
	now := time.Duration(0)
	for b.Loop() {
		now += 10 * time.Microsecond
		l.Observe(now, time.Millisecond)
		service.Observe(now, time.Millisecond)
	}
}
