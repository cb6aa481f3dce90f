package balance

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// fixture is a balancer with members that a test changes by index.
type fixture struct {
	t tester
	*Balancer
	list []Member
	now  time.Duration
}

var eligible = Status{Ready: true, Eligible: true}

func ranked(r Rank) Status { return Status{Ready: true, Eligible: true, Rank: r} }

func newFixture(t tester, c Config, list ...Member) *fixture {
	t.Helper()
	b, err := New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatalf("%v", err)
	}
	for i := range list {
		if list[i].Load == nil {
			list[i].Load = new(Load)
		}
	}
	b.SetMembers(list)
	for i := range list {
		b.SetStatus(i, eligible)
	}
	return &fixture{t, b, list, time.Second}
}

// named returns n members e0, e1, ….
func named(n int) []Member {
	list := make([]Member, n)
	for i := range list {
		list[i].ID = fmt.Sprint("e", i)
	}
	return list
}

// pickFor picks a millisecond after the last time.
func (f *fixture) pickFor(req Request) int {
	f.t.Helper()
	f.now += time.Millisecond
	i, err := f.Pick(f.now, req)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	return i
}

func (f *fixture) next() int {
	f.t.Helper()
	return f.pickFor(Request{})
}

// counts picks n times and counts by index.
func (f *fixture) counts(n int) []int {
	f.t.Helper()
	counts := make([]int, len(f.list))
	for range n {
		counts[f.next()]++
	}
	return counts
}

// picks picks n times and writes the indexes in a row.
func (f *fixture) picks(n int) string {
	f.t.Helper()
	s := ""
	for range n {
		s += fmt.Sprint(f.next())
	}
	return s
}

// available are the names of the strategies that there are, custom left out.
func available() (names []string) {
	for _, s := range strategies {
		if s.name != pickCustom {
			names = append(names, s.name)
		}
	}
	return names
}

// tester is a *testing.T, a *testing.B or a *rapid.T.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func equal[T comparable](t tester, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
