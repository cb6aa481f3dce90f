package outlier

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/messages"
	"github.com/understudy-go/understudy/test/check"
)

func TestRow(t *testing.T) {
	outcomes := map[rune]messages.Outcome{'g': messages.Success, 'b': messages.Failure, 't': messages.Timeout, 'i': messages.Ignored}
	for _, tc := range []struct {
		name        string
		consecutive int
		calls       string
		found       string // x where a finding is made
	}{
		{"so many in a row", 3, "bbb", "..x"},
		{"a success begins anew", 3, "bbgbbb", ".....x"},
		{"an ignored call does not", 3, "bbib", "...x"},
		{"any failure counts", 3, "btb", "..x"},
		{"it begins anew after a finding", 2, "bbbbb", ".x.x."},
		{"one", 1, "gbb", ".xx"},
		{"off", off, "bbbbbb", "......"},
		{"zero is off", 0, "bbbbbb", "......"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var row Row
			got := ""
			for _, call := range tc.calls {
				why := row.Record(outcomes[call], tc.consecutive)
				if why == "" {
					got += "."
				} else {
					got += "x"
				}
			}
			check.Equal(t, tc.found, got)
		})
	}
	row := Row(2)
	check.Equal(t, "failures in a row: 3", row.Record(messages.Failure, 3))
	check.Equal(t, 0, testing.AllocsPerRun(100, func() { row.Record(messages.Failure, off) }), "it is called per request")
}

func TestRoom(t *testing.T) {
	for _, tc := range []struct {
		ready, eligible, ejected int
		cfg                      Config
		want                     int
		about                    string
	}{
		{0, 0, 0, Config{}, 0, "nobody"},
		{1, 1, 0, Config{}, 0, "the last one"},
		{2, 2, 0, Config{}, 1, "max(1, 34 % of 2)"},
		{2, 1, 1, Config{}, 0, "the last eligible one"},
		{2, 1, 0, Config{}, 0, "the other one is open"},
		{3, 3, 0, Config{}, 1, "34 % of 3 are 1.02"},
		{5, 5, 0, Config{}, 1, "34 % of 5 are 1.7"},
		{6, 6, 0, Config{}, 2, "34 % of 6 are 2.04"},
		{6, 5, 1, Config{}, 1, "one is ejected already"},
		{6, 2, 0, Config{}, 1, "one of two eligible ones stays"},
		{6, 3, 3, Config{}, 0, "more than the limit, after a reload"},
		{6, 0, 0, Config{}, 0, "nobody is eligible"},
		{50, 50, 0, Config{}, 17, "34 % of 50 are 17"},
		{100, 100, 0, Config{MaxEjected: 0.29}, 29, "however floats see it"},
		{100_000, 100_000, 0, Config{}, 34_000, ""},
		{10, 10, 0, Config{MaxEjected: 1}, 9, "all, but the last"},
		{10, 10, 0, Config{MaxEjected: 0.05}, 1, "always one"},
		{10, 9, 1, Config{MaxEjected: 0.05}, 0, "and only one"},
	} {
		check.Equal(t, tc.want, Room(tc.ready, tc.eligible, tc.ejected, tc.cfg), tc.ready, " ", tc.eligible, " ", tc.ejected, " ", tc.about)
	}
	for n := range 2000 { // against whole numbers
		check.Equal(t, max(0, min(max(1, 34*n/100), n-1)), Room(n, n, 0, Config{}), n)
	}
}

func TestEjection(t *testing.T) {
	var e Ejection
	plain := Config{Jitter: off}
	check.Holds(t, !e.Ejected(0) && e.Until() == 0 && e.Times(0, plain) == 0 && e.Reason() == "", "never ejected")

	at := time.Second
	check.Equal(t, at+30*time.Second, e.Eject(at, "slow", plain, 0.5))
	check.Equal(t, "slow", e.Reason())
	check.Equal(t, at+30*time.Second, e.Until())
	check.Holds(t, e.Ejected(at) && e.Ejected(e.Until()-1) && !e.Ejected(e.Until()))
	check.Equal(t, at+30*time.Second, e.Eject(at+time.Second, "slower", plain, 0.5), "ejected once")
	check.Equal(t, "slow", e.Reason())
	check.Equal(t, 1, e.Times(at+time.Second, plain))

	// Each time at once after the return: 2 × 30 s, 3 × 30 s, … at most 300 s.
	for n := 2; n <= 20; n++ {
		at = e.Until()
		lasts := min(time.Duration(n)*30*time.Second, 300*time.Second)
		check.Equal(t, at+lasts, e.Eject(at, "", plain, 0.5), n)
	}
	check.Equal(t, 10, e.Times(at, plain), "300 s are 10 × 30 s: more would only take longer to forget")

	// One is forgotten with every 30 s in service.
	back := e.Until()
	for forgotten := range 15 {
		left := max(0, 10-forgotten)
		check.Equal(t, left, e.Times(back+time.Duration(forgotten)*30*time.Second, plain))
		check.Equal(t, left, e.Times(back+time.Duration(forgotten)*30*time.Second+29999*time.Millisecond, plain))
	}
	at = back + 225*time.Second // 3 are left
	check.Equal(t, at+120*time.Second, e.Eject(at, "again", plain, 0.5))
}

func TestReturn(t *testing.T) {
	var e Ejection
	e.Return(time.Second)
	check.Equal(t, Ejection{}, e, "there was none")

	e.Eject(0, "bad", Config{}, 0)
	e.Return(5 * time.Second)
	check.Holds(t, !e.Ejected(5*time.Second))
	check.Equal(t, 1, e.Times(34*time.Second, Config{}), "it is remembered")
	check.Equal(t, 0, e.Times(35*time.Second, Config{}))
	e.Return(20 * time.Second)
	check.Equal(t, 5*time.Second, e.Until(), "it ended before")
	check.Equal(t, "bad", e.Reason())
}

func TestJitter(t *testing.T) {
	for _, tc := range []struct {
		jitter, random float64
		want           time.Duration
	}{
		{0, 0, 30 * time.Second},
		{0, 0.5, 31500 * time.Millisecond},
		{1, 0.5, 45 * time.Second},
		{off, 0.9, 30 * time.Second},
	} {
		var e Ejection
		check.Equal(t, tc.want, e.Eject(0, "", Config{Jitter: tc.jitter}, tc.random))
	}
}

func TestTheUnevenMaximumIsReached(t *testing.T) {
	var e Ejection
	c := Config{BaseEjection: 40 * time.Second, MaxEjection: 100 * time.Second, Jitter: off}
	for _, lasts := range []time.Duration{40 * time.Second, 80 * time.Second, 100 * time.Second, 100 * time.Second} {
		at := e.Until()
		check.Equal(t, at+lasts, e.Eject(at, "", c, 0))
	}
	check.Equal(t, 3, e.Times(0, c))
}

// The model counts at every base_ejection.
func TestEjectionAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{
			Interval:     rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "interval"),
			BaseEjection: rapid.SampledFrom([]time.Duration{0, 7 * time.Second, time.Hour}).Draw(t, "base_ejection"),
			Jitter:       rapid.SampledFrom([]float64{0, 1, off}).Draw(t, "jitter"),
		}
		d := c.WithDefaults()
		var e Ejection
		now, until, nextForget, times := time.Duration(0), time.Duration(0), time.Duration(0), 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.SampledFrom([]time.Duration{0, 1, time.Second, 10 * time.Second, 45 * time.Second, 10 * time.Minute}).Draw(t, "wait")
			if rapid.Bool().Draw(t, "until it ends") {
				now = max(now, e.Until()-time.Duration(rapid.IntRange(0, 1).Draw(t, "early")))
			}
			if now >= until {
				for ; nextForget <= now && times > 0; nextForget += d.BaseEjection {
					times--
				}
			}
			check.Equal(t, now < until, e.Ejected(now))
			check.Equal(t, times, e.Times(now, c))
			switch rapid.SampledFrom([]string{"eject", "eject", "return", "nothing"}).Draw(t, "step") {
			case "eject":
				random := rapid.Float64Range(0, 0.999).Draw(t, "random")
				got := e.Eject(now, "why", c, random)
				if now >= until {
					plain := time.Duration(0)
					if times++; time.Duration(times-1)*d.BaseEjection >= d.MaxEjection {
						times--
					}
					for range times {
						plain += d.BaseEjection
					}
					plain = min(plain, d.MaxEjection)
					check.Holds(t, got-now >= plain && float64(got-now) <= float64(plain)*(1+max(0, d.Jitter)), "jitter only lengthens")
					check.Holds(t, float64(got-now) <= float64(d.MaxEjection)*(1+max(0, d.Jitter)), "≤ max × (1 + jitter)")
					until = got
				}
				check.Equal(t, until, got)
			case "return":
				e.Return(now)
				until = min(until, now)
			}
			if now < until || until == now {
				nextForget = until + d.BaseEjection
			}
		}
	})
}

// More ejections in a row never mean a shorter time.
func TestEjectionTimeGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{BaseEjection: time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "base_ejection"))}
		random := rapid.Float64Range(0, 0.999).Draw(t, "random")
		var e Ejection
		lasted := time.Duration(0)
		for range 15 {
			from := e.Until()
			lasts := e.Eject(from, "", c, random) - from
			check.Holds(t, lasts >= lasted && lasts > 0, lasts, " after ", lasted)
			lasted = lasts
		}
		check.Equal(t, 0, e.Times(e.Until()+time.Duration(1e5)*time.Hour, c), "all is forgiven")
	})
}

// A service over many sweeps, as its supervisor runs it: whatever the endpoints do,
// whichever of them are not eligible for other reasons, and whatever is found in
// between by Row or by peers.
func TestTheCapHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "endpoints")
		c := Config{SuccessRateStdev: 0.5, SuccessRateHosts: 1, FailurePercentageHosts: 1, MaxEjected: rapid.SampledFrom([]float64{0, 0.1, 1}).Draw(t, "max_ejected")}
		limit := max(1, int(c.WithDefaults().MaxEjected*float64(n)))
		ejections, open, samples := make([]Ejection, n), make([]bool, n), make([]Sample, n)
		now := time.Duration(0)
		count := func() (eligible, ejected int) {
			for i := range ejections {
				switch {
				case ejections[i].Ejected(now):
					ejected++
				case !open[i]:
					eligible++
				}
			}
			return eligible, ejected
		}
		for range rapid.IntRange(1, 20).Draw(t, "sweeps") {
			now += 10 * time.Second
			for i := range samples {
				open[i] = rapid.IntRange(0, 4).Draw(t, "open") == 0
				good := rapid.Uint64Range(0, 100).Draw(t, "good")
				samples[i] = Sample{Successes: good, Failures: 100 - good, Out: ejections[i].Ejected(now) || open[i]}
			}
			for _, f := range Sweep(samples, c, nil) {
				eligible, before := count()
				room := Room(n, eligible, before, c)
				check.Holds(t, room >= 0)
				if room == 0 {
					check.Holds(t, before >= limit || eligible <= 1, "withheld for nothing")
					break
				}
				ejections[f.Index].Eject(now, f.Why, c, 0)
				left, ejected := count()
				check.Holds(t, ejected <= limit, "the cap")
				check.Holds(t, left >= 1, "the last eligible one")
				check.Equal(t, room-1, Room(n, left, ejected, c), "one less, so that a whole sweep may ask once")
			}
		}
	})
}
