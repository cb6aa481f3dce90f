package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

const usualLatency = 10 * time.Millisecond

// learned is a dynamic limit of 1000 per second that knows the service as well.
func learned() (r *Rate, now time.Duration) {
	r = NewRate(RateConfig{Limit: 1000, Dynamic: true}, 0)
	for range 10 {
		now += second
		r.Adapt(now, 100, 0, usualLatency)
	}
	return r, now
}

// "Dynamic rate limit: while the service fails or slows, the admitted rate falls;
// when it is well again, it returns."
func TestAcceptance31(t *testing.T) {
	for _, tc := range []struct {
		name       string
		ok, failed uint64
		latency    time.Duration
	}{
		{"fails", 50, 50, usualLatency},
		{"slows", 100, 0, 3 * usualLatency},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, now := learned()
			check.Equal(t, 1000, r.Effective())
			for _, want := range []int{700, 490, 343, 240, 168, 117, 100, 100, 100} {
				now += second
				check.Equal(t, want != r.Effective(), r.Adapt(now, tc.ok, tc.failed, tc.latency))
				check.Equal(t, want, r.Effective())
				check.Equal(t, want, admitted(r, 2000, now), "it is in force at once")
			}
			for want := 200; want <= 1000; want += 100 {
				now += second
				check.Holds(t, r.Adapt(now, 100, 0, usualLatency))
				check.Equal(t, want, r.Effective())
			}
			now += second
			check.Holds(t, !r.Adapt(now, 100, 0, usualLatency))
			check.Equal(t, 1000, r.Effective())
		})
	}
}

func TestWhatIsFailing(t *testing.T) {
	for _, tc := range []struct {
		ok, failed uint64
		lowered    bool
	}{
		{0, 0, false},
		{0, 1, false}, // one is no verdict
		{5, 1, false},
		{0, 2, true},
		{90, 11, false}, // not above 10 % of the 101 and 10 assumed good ones
		{90, 12, true},
		{9_000, 1_000, false},
		{9_000, 1_010, true},
	} {
		r, now := learned()
		r.Adapt(now+second, tc.ok, tc.failed, usualLatency)
		check.Equal(t, tc.lowered, r.Effective() < 1000, tc.failed, " of ", tc.ok+tc.failed)
	}
}

func TestAdaptCollectsUntilItsTime(t *testing.T) {
	r, now := learned()
	check.Equal(t, now+second, r.AdaptAt())
	for i := range time.Duration(10) {
		check.Holds(t, !r.Adapt(now+i*99*time.Millisecond, 0, 1, 0))
	}
	check.Holds(t, r.Adapt(now+second, 0, 0, 0))
	check.Equal(t, 700, r.Effective())
	check.Equal(t, now+2*second, r.AdaptAt())

	slow := NewRate(RateConfig{Limit: 100, Per: time.Minute, Dynamic: true}, 0)
	check.Equal(t, time.Minute, slow.AdaptAt(), "a step is as long as per")
	check.Holds(t, !slow.Adapt(59*second, 0, 100, 0))
}

// Time alone gives the rate back, however seldom somebody looks.
func TestQuietServiceRecovers(t *testing.T) {
	for _, every := range []time.Duration{second, 3 * second, time.Hour} {
		r, now := learned()
		for range 10 {
			now += second
			r.Adapt(now, 0, 100, 0)
		}
		check.Equal(t, 100, r.Effective())
		until := now + max(9*second, every)
		for now < until {
			now += every
			r.Adapt(now, 0, 0, 3*usualLatency) // an old average
		}
		check.Equal(t, 1000, r.Effective(), "looked at every ", every)
	}
}

// Trouble never becomes the usual, except a latency that stays at the lowest rate.
func TestUsualLatency(t *testing.T) {
	r, now := learned()
	for range 60 {
		now += second
		r.Adapt(now, 100, 0, 3*usualLatency)
	}
	check.Equal(t, float64(usualLatency), r.dynamic.usual)
	check.Equal(t, 100, r.Effective())
	for range 20 {
		now += second
		r.Adapt(now, 100, 0, 3*usualLatency)
	}
	check.Equal(t, 1000, r.Effective(), "our load is not what slows it")
	check.Equal(t, float64(3*usualLatency), r.dynamic.usual)

	r, now = learned()
	for range 200 {
		now += second
		r.Adapt(now, 50, 50, 3*usualLatency)
	}
	check.Equal(t, 100, r.Effective(), "failures are never usual")
	check.Equal(t, float64(usualLatency), r.dynamic.usual)

	r, now = learned()
	for range 180 {
		now += second
		r.Adapt(now, 100, 0, usualLatency*3/2)
	}
	check.Holds(t, r.dynamic.usual > 1.45*float64(usualLatency), "it follows what is not slow: ", r.dynamic.usual)
}

func TestSmallLimitsStayAboveNothing(t *testing.T) {
	r := NewRate(RateConfig{Limit: 3, Dynamic: true}, 0)
	for now := second; now < 20*second; now += second {
		r.Adapt(now, 0, 10, 0)
	}
	check.Equal(t, 1, r.Effective())
	check.Equal(t, 1, admitted(r, 5, 20*second))
}

func TestConfigureDynamic(t *testing.T) {
	r, now := learned()
	r.Adapt(now+second, 0, 100, 0)
	r.Configure(RateConfig{Limit: 500, Dynamic: true}, now+second)
	check.Equal(t, 350, r.Effective(), "the share stays")
	r.Configure(RateConfig{Limit: 500}, now+second)
	check.Equal(t, 500, r.Effective())
	check.Holds(t, !r.Adapt(now+5*second, 0, 100, 0))
	check.Equal(t, 500, r.Effective())
}

// Whatever the service does, the share stays from a tenth to all and, in peace,
// returns within 9 steps.
func TestDynamicStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, now := learned()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(3*second)).Draw(t, "pause"))
			r.Adapt(now, rapid.Uint64Range(0, 100).Draw(t, "ok"), rapid.Uint64Range(0, 100).Draw(t, "failed"),
				time.Duration(rapid.Int64Range(0, int64(second)).Draw(t, "latency")))
			check.Holds(t, 100 <= r.Effective() && r.Effective() <= 1000, r.Effective())
		}
		now = r.AdaptAt() // what was collected is judged
		r.Adapt(now, 0, 0, 0)
		for range 9 {
			now += second
			r.Adapt(now, 100, 0, 1)
		}
		check.Equal(t, 1000, r.Effective())
	})
}
