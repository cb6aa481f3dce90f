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
	c := Config{Pick: name}
	if name == pickCustom {
		c.Custom = func(_ string, c []Candidate) int { return 0 }
	}
	return benchBalancerOf(b, c, n)
}

func benchBalancerOf(b *testing.B, c Config, n int) *Balancer {
	b.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
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

// benchKeys are many more keys than fit the processor's nearest cache, so that each
// pick among many finds other members.
func benchKeys() []string {
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = fmt.Sprintf("10.%d.%d.7", i>>8, i&255)
	}
	return keys
}

// Picks by key: hashes, sessions that are known and sessions that are new.
func BenchmarkPickByKey(b *testing.B) {
	keys := benchKeys()
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"consistent_hash", Config{Pick: "consistent_hash"}},
		{"consistent_hash, hash_balance off", Config{Pick: "consistent_hash", HashBalance: off}},
		{"ip_hash", Config{Pick: "ip_hash"}},
		{"sticky", Config{Pick: "sticky"}},
		{"sticky, all new", Config{Pick: "sticky", StickyMax: 1000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for _, n := range benchSizes {
				b.Run(fmt.Sprint(n), func(b *testing.B) {
					bal := benchBalancerOf(b, c.config, n)
					for _, k := range keys {
						bal.Pick(time.Second, Request{Key: k})
					}
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						if _, err := bal.Pick(time.Second, Request{Key: keys[i&(len(keys)-1)]}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// A third of the members is in our zone, and all are in our region.
func BenchmarkPickGeographic(b *testing.B) {
	zones := []string{"z1", "z2", "z3"}
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := benchBalancerOf(b, Config{Pick: "geographic", Here: Place{Zone: "z1", Region: "r"}}, n)
			list := make([]Member, n)
			for i := range list {
				list[i] = bal.members[i].Member
				list[i].Place, list[i].Limit = Place{Zone: zones[i%3], Region: "r"}, 100
			}
			bal.SetMembers(list)
			for _, key := range []string{"", "z2", "r"} {
				b.Run("key "+key, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := bal.Pick(time.Second, Request{Key: key}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// A new list makes new tables.
func BenchmarkSetMembersByHash(b *testing.B) {
	for _, n := range []int{10, 655, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bal := benchBalancerOf(b, Config{Pick: "consistent_hash"}, n)
			list := make([]Member, n)
			for i := range list {
				list[i] = bal.members[i].Member
			}
			for i := 1; b.Loop(); i++ {
				list[0].Weight = 1 + i%2
				bal.SetMembers(list)
				bal.table(&bal.tiers[0])
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
