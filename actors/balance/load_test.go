package balance

import (
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestFadeIsTheExponential(t *testing.T) {
	before := 1.0
	for age := int32(0); age < 1_000_000; age += 7 {
		want := math.Exp(-float64(time.Duration(age)<<tickBits) / float64(decay))
		got := fade(age)
		if math.Abs(got-want) > 3e-4 || got > before {
			t.Fatalf("at %d ticks: %v, want %v, before %v", age, got, want, before)
		}
		before = got
	}
	equal(t, "time that runs back", fade(-5), 1)
	equal(t, "for ever", fade(math.MaxInt32), 0)
}

// Peak EWMA as Finagle has it: a rise at once, a fall by e^(-dt/10 s).
func TestObserveIsPeakEWMA(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Load
		start := time.Duration(rapid.Int64Range(0, int64(30*24*time.Hour)).Draw(t, "start"))
		now, stamp, want := start, start, 0.0
		for range rapid.IntRange(1, 50).Draw(t, "calls") {
			now += time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "wait"))
			latency := float64(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "latency"))
			if latency >= want {
				want = latency
			} else {
				w := math.Exp(-float64(now-stamp) / float64(decay))
				want = want*w + latency*(1-w)
			}
			stamp = now
			l.Observe(now, time.Duration(latency))
			if got := float64(l.Average()); math.Abs(got-want) > want/200+float64(time.Millisecond) {
				t.Fatalf("got %v, want %v", l.Average(), time.Duration(want))
			}
		}
	})
}

func TestObserve(t *testing.T) {
	var l Load
	equal(t, "none yet", l.Average(), 0)
	l.Observe(0, 0)
	equal(t, "a call of no time was one", l.Average(), 1)
	l.Observe(time.Second, 80*time.Millisecond)
	equal(t, "a rise at once", l.Average(), 80*time.Millisecond)
	l.Observe(time.Second, 20*time.Millisecond)
	equal(t, "a fall needs time", l.Average(), 80*time.Millisecond)
	l.Observe(11*time.Second, 20*time.Millisecond)
	if a := l.Average().Round(100 * time.Microsecond); a != 42100*time.Microsecond {
		t.Errorf("after one time constant %v", a)
	}
	l.Observe(9*time.Second, 10*time.Millisecond) // from a clock read earlier
	if a := l.Average().Round(100 * time.Microsecond); a != 42100*time.Microsecond {
		t.Errorf("after a step back in time %v", a)
	}
}

// "A failure enters the latency average as at least twice the service's average".
func TestFail(t *testing.T) {
	var l Load
	var service Average
	l.Fail(0, time.Millisecond, &service)
	equal(t, "before anything is known of the service", l.Average(), time.Millisecond)
	service.Observe(0, 50*time.Millisecond)
	l.Fail(time.Second, time.Millisecond, &service)
	equal(t, "fast failure", l.Average(), 100*time.Millisecond)
	l.Fail(time.Second, 2*time.Second, &service)
	equal(t, "slow failure", l.Average(), 2*time.Second)
	l.Observe(time.Second, 40*time.Millisecond)
	equal(t, "the good call after it", l.Average(), 40*time.Millisecond)
	l.Observe(time.Second, 20*time.Millisecond)
	equal(t, "a measured fall", l.Average(), 40*time.Millisecond)
	for k := range 1000 { // when everybody fails, nothing grows without bound
		l.Fail(time.Duration(k)*time.Second, time.Millisecond, &service)
	}
	if a := l.Average(); a > 101*time.Millisecond {
		t.Errorf("failing for long: %v", a)
	}
}

func TestAverageIsOfTheGoodCalls(t *testing.T) {
	var a Average
	equal(t, "none yet", a.Value(), 0)
	a.Observe(0, 40*time.Millisecond)
	equal(t, "the first", a.Value(), 40*time.Millisecond)
	a.Observe(time.Microsecond, time.Hour)
	equal(t, "one sample per tick", a.Value(), 40*time.Millisecond)
	for k := 1; k <= 60_000; k++ { // no peak: the mean of 20 and 60
		a.Observe(time.Duration(k)*2*time.Millisecond, time.Duration(20+40*(k%2))*time.Millisecond)
	}
	if v := a.Value(); v < 39*time.Millisecond || v > 41*time.Millisecond {
		t.Errorf("mean %v", v)
	}
	a.Observe(0, time.Hour) // an older moment
	a.Observe(2*time.Minute+10*time.Millisecond, 60*time.Millisecond)
	if v := a.Value(); v > 41*time.Millisecond {
		t.Errorf("after a step back in time %v", v)
	}
}

// The endpoints write while the supervisor picks and the instruments read.
func TestLoadsAreWrittenWhileOthersRead(t *testing.T) {
	f := newFixture(t, Config{}, named(4)...)
	var service Average
	var endpoints sync.WaitGroup
	for _, m := range f.list {
		endpoints.Go(func() {
			for k := range 2000 {
				m.Load.Inflight.Add(1)
				m.Load.Observe(time.Duration(k)*time.Millisecond, 10*time.Millisecond)
				service.Observe(time.Duration(k)*time.Millisecond, 10*time.Millisecond)
				m.Load.Fail(time.Duration(k)*time.Millisecond, time.Millisecond, &service)
				m.Load.Inflight.Add(-1)
			}
		})
	}
	f.counts(2000)
	for _, m := range f.list {
		if a := m.Load.Average(); a != 0 && (a < 10*time.Millisecond || a > 21*time.Millisecond) {
			t.Errorf("an average that never was: %v", a)
		}
	}
	endpoints.Wait()
	equal(t, "the service's", service.Value(), 10*time.Millisecond)
}
