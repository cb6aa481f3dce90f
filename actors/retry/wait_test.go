package retry

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-go/understudy/test/check"
)

const almostOne = 1 - 1e-9

// waits are those after the first attempts, as short and as long as they can be.
func waits(c Config, attempts int) (shortest, longest []time.Duration) {
	for attempt := 1; attempt <= attempts; attempt++ {
		shortest = append(shortest, c.Wait(attempt, 0))
		longest = append(longest, c.Wait(attempt, almostOne).Round(time.Microsecond))
	}
	return shortest, longest
}

// "Base 1.0 s doubling, jitter up to 0.5 s: wait 1 in [1.0, 1.5], wait 2 in
// [2.0, 2.5]"
func TestAddedJitter(t *testing.T) {
	shortest, longest := waits(Config{Backoff: Backoff{Initial: time.Second}, Jitter: Jitter(500 * time.Millisecond)}, 2)
	check.Equal(t, []time.Duration{1000 * time.Millisecond, 2000 * time.Millisecond}, shortest)
	check.Equal(t, []time.Duration{1500 * time.Millisecond, 2500 * time.Millisecond}, longest)
}

func TestWait(t *testing.T) {
	s, ms := time.Second, time.Millisecond
	for _, c := range []struct {
		about             string
		cfg               Config
		shortest, longest []time.Duration
	}{
		{"the default", Config{}, []time.Duration{0, 0, 0, 0, 0}, []time.Duration{25 * ms, 50 * ms, 100 * ms, 200 * ms, 250 * ms}},
		{"waits 2 s then 4 s (exponential, 2..10 s)", Config{Backoff: Exponential(2*s, 10*s), Jitter: NoJitter},
			[]time.Duration{2 * s, 4 * s, 8 * s, 10 * s}, []time.Duration{2 * s, 4 * s, 8 * s, 10 * s}},
		{"2 waits of 5 s", Config{Backoff: Constant(5 * s)}, []time.Duration{5 * s, 5 * s}, []time.Duration{5 * s, 5 * s}},
		{"a constant one can have jitter", Config{Backoff: Constant(5 * s), Jitter: FullJitter}, []time.Duration{0, 0}, []time.Duration{5 * s, 5 * s}},
		{"added jitter comes on top of max", Config{Backoff: Exponential(2*s, 3*s), Jitter: Jitter(s)}, []time.Duration{2 * s, 3 * s}, []time.Duration{3 * s, 4 * s}},
		{"no backoff", Config{Backoff: Backoff{Initial: off}}, []time.Duration{0, 0}, []time.Duration{0, 0}},
		{"no backoff, only jitter", Config{Backoff: Constant(0), Jitter: Jitter(s)}, []time.Duration{0, 0}, []time.Duration{s, s}},
		{"times 1.5", Config{Backoff: Backoff{Initial: s, Multiplier: 1.5}, Jitter: off}, []time.Duration{s, 1500 * ms, 2250 * ms}, []time.Duration{s, 1500 * ms, 2250 * ms}},
	} {
		shortest, longest := waits(c.cfg, len(c.shortest))
		check.Equal(t, c.shortest, shortest, c.about)
		check.Equal(t, c.longest, longest, c.about)
		shortest, _ = waits(c.cfg.WithDefaults(), len(c.shortest))
		check.Equal(t, c.shortest, shortest, c.about, ", with defaults filled in")
	}
	c := Config{Jitter: NoJitter}
	check.Equal(t, c.Wait(1, 0), c.Wait(0, 0), "attempts count from 1")
	check.Equal(t, 250*ms, c.Wait(1<<62, 0), "however many")
}

// The model goes attempt by attempt, in whole steps.
func TestWaitsStayInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := rapid.Int64Range(1, int64(waitMax)).Draw(t, "initial")
		c := Config{
			Backoff: Backoff{
				Initial:    time.Duration(initial),
				Multiplier: rapid.Float64Range(1, 10).Draw(t, "multiplier"),
				Max:        time.Duration(rapid.Int64Range(initial, int64(waitMax)).Draw(t, "max")),
			},
			Jitter: Jitter(rapid.OneOf(rapid.Just(int64(FullJitter)), rapid.Just(int64(NoJitter)), rapid.Int64Range(1, int64(waitMax))).Draw(t, "jitter")),
		}
		check.Equal(t, nil, c.Validate())
		model := float64(c.Backoff.Initial)
		attempts := rapid.IntRange(1, 200).Draw(t, "attempts")
		for attempt := 1; attempt <= attempts; attempt++ {
			base := time.Duration(model)
			const rounding = time.Microsecond
			wait := c.Wait(attempt, rapid.Float64Range(0, almostOne).Draw(t, "rnd"))
			switch c.Jitter {
			case NoJitter:
				check.Holds(t, (wait-base).Abs() <= rounding, attempt, wait, base)
			case FullJitter:
				check.Holds(t, wait >= 0 && wait <= base+rounding, attempt, wait, base)
			default:
				check.Holds(t, wait >= base-rounding && wait <= base+time.Duration(c.Jitter)+rounding, attempt, wait, base)
			}
			check.Holds(t, wait <= c.Backoff.Max+max(0, time.Duration(c.Jitter)), attempt, wait)
			model = min(model*c.Backoff.Multiplier, float64(c.Backoff.Max))
		}
	})
}

// Uniform: of many even draws, as many fall into each tenth.
func TestFullJitterIsUniform(t *testing.T) {
	var tenths [10]int
	c := Config{Backoff: Constant(time.Second), Jitter: FullJitter}
	const draws = 1000
	for i := range draws {
		tenths[c.Wait(1, (float64(i)+0.5)/draws)*10/time.Second]++
	}
	for i, n := range tenths {
		check.Equal(t, draws/10, n, "tenth ", i)
	}
}

func TestJitterAsText(t *testing.T) {
	for text, want := range map[string]Jitter{
		"full": FullJitter, "none": NoJitter, "off": NoJitter, "-1": NoJitter, "": 0,
		"0.5s": Jitter(500 * time.Millisecond), "500ms": Jitter(500 * time.Millisecond), "0": NoJitter, "0s": NoJitter,
	} {
		j := Jitter(7)
		check.Equal(t, nil, j.UnmarshalText([]byte(text)), text)
		check.Equal(t, want, j, text)
		again, err := j.MarshalText()
		check.Equal(t, nil, err)
		check.Equal(t, nil, j.UnmarshalText(again), text)
		check.Equal(t, want, j, text, ", read again from ", string(again))
	}
	for _, text := range []string{"Full", "half", "10%", "0.5", "-1s", "-2", "none "} {
		j := Jitter(7)
		check.Holds(t, j.UnmarshalText([]byte(text)) != nil, text)
		check.Equal(t, Jitter(7), j, text)
	}
}
