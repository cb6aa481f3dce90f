package balance

import (
	"errors"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
)

// "A request without a key, where a key is needed, goes by p2c, is counted […]".
func TestKeylessGoByP2CAndAreCounted(t *testing.T) {
	for _, pick := range []string{"ip_hash", "consistent_hash", "sticky"} {
		f := newFixture(t, Config{Pick: pick}, named(4)...)
		for i, m := range f.list {
			m.Load.Observe(f.now, time.Duration(1+99*(i/3))*time.Second)
		}
		f.SetStatus(2, ranked(Suspect))
		f.SetStatus(1, Status{Ready: true, Eligible: true, Rank: Suspect, TrialDue: true})
		equal(t, pick+": the trial goes first", f.next(), 1)
		f.SetStatus(1, eligible)
		counts := f.counts(200)
		if counts[0] < 50 || counts[1] < 50 || counts[2] != 0 || counts[3] > 20 {
			t.Errorf("%s: picks %v of two good ones, a suspect and a slow one", pick, counts)
		}
		f.pickFor(Request{Retry: true})
		f.pickFor(Request{Tried: []string{"e0"}})
		f.pickFor(Request{Key: "k"})
		equal(t, pick+": requests, not attempts", f.Keyless(), 201)
	}
	f := newFixture(t, Config{Pick: "weighted", Sticky: time.Minute}, weightedMembers([]int{3, 1})...)
	equal(t, "weighted and sticky goes by weights", f.counts(400)[0], 300)
	equal(t, "and is counted", f.Keyless(), 400)
	for _, pick := range []string{"random", "custom", "geographic", "priority"} {
		b := newFixture(t, Config{Pick: pick}, named(2)...)
		b.Pick(b.now, Request{})
		equal(t, pick+" needs no key", b.Keyless(), 0)
	}
}

// "`affinity: required` makes it a 400."
func TestAKeyIsRequired(t *testing.T) {
	for _, c := range []Config{{Pick: "ip_hash"}, {Pick: "maglev"}, {Pick: "sticky"}, {Sticky: time.Minute},
		{Custom: func(string, []Candidate) int { return 0 }}} {
		c.Affinity = "required"
		f := newFixture(t, c, named(2)...)
		for _, req := range []Request{{}, {Retry: true, Tried: []string{"e0"}}} {
			_, err := f.Pick(f.now, req)
			var e *messages.Error
			if !errors.As(err, &e) || e.Code != messages.CodeInvalidRequest || e.Status() != 400 {
				t.Errorf("%+v: %v", c, err)
			}
		}
		f.pickFor(Request{Key: "k"})
		equal(t, "not counted, for it was refused", f.Keyless(), 0)
	}
}
