package understudytest_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/understudy-go/understudy"
	"github.com/understudy-go/understudy/test/understudytest"
)

func TestClockStandsStill(t *testing.T) {
	before := time.Now()
	clock := understudytest.NewClock()
	require.WithinRange(t, clock.Now(), before, time.Now())
	require.Equal(t, clock.Now(), clock.Now())
	began := clock.Now()
	clock.Advance(90 * time.Second)
	require.Equal(t, 90*time.Second, clock.Now().Sub(began))
}

func TestAdvanceRunsTimersAtTheirTimeInOrder(t *testing.T) {
	clock := understudytest.NewClock()
	began := clock.Now()
	var ran []string
	set := func(name string, d time.Duration) {
		clock.AfterFunc(d, func() { ran = append(ran, fmt.Sprint(name, clock.Now().Sub(began))) })
	}
	set("c", 3*time.Second)
	set("a", time.Second)
	set("b", 2*time.Second)
	set("b again", 2*time.Second)
	set("never", 4*time.Second)
	clock.AfterFunc(time.Second, func() { set("set on the way", time.Second) })
	clock.Advance(3 * time.Second)
	require.Equal(t, []string{"a1s", "b2s", "b again2s", "set on the way2s", "c3s"}, ran)
	require.Equal(t, 1, clock.Pending())
}

func TestAdvanceWaitsForWhatItRuns(t *testing.T) {
	clock := understudytest.NewClock()
	release, done := make(chan struct{}), false
	clock.AfterFunc(time.Second, func() { <-release; done = true })
	go close(release)
	clock.Advance(time.Second)
	require.True(t, done)
}

func TestATimerThatIsDueRunsByItself(t *testing.T) {
	clock := understudytest.NewClock()
	for _, d := range []time.Duration{0, -time.Second} {
		ran := make(chan time.Time)
		clock.AfterFunc(d, func() { ran <- clock.Now() })
		require.Equal(t, clock.Now(), <-ran)
	}
}

func TestStopAndReset(t *testing.T) {
	clock := understudytest.NewClock()
	ran := 0
	timer := clock.AfterFunc(time.Second, func() { ran++ })
	require.True(t, timer.Stop())
	require.False(t, timer.Stop())
	clock.Advance(time.Minute)
	require.Zero(t, ran)

	require.False(t, timer.Reset(time.Second), "it was stopped")
	require.True(t, timer.Reset(2*time.Second), "it was waiting")
	clock.Advance(time.Second)
	require.Zero(t, ran)
	clock.Advance(time.Second)
	require.Equal(t, 1, ran)
	require.False(t, timer.Stop(), "it has run")

	var again understudy.Timer
	again = clock.AfterFunc(time.Second, func() {
		if ran++; ran < 4 {
			again.Reset(time.Second)
		}
	})
	clock.Advance(time.Hour)
	require.Equal(t, 4, ran)
}

func TestBlockUntil(t *testing.T) {
	clock := understudytest.NewClock()
	var began atomic.Int32
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() {
			woken := make(chan struct{})
			began.Add(1)
			clock.AfterFunc(time.Second, func() { close(woken) })
			<-woken
		})
	}
	clock.BlockUntil(3)
	require.EqualValues(t, 3, began.Load())
	clock.Advance(time.Second)
	done.Wait()
	clock.BlockUntil(0)
}

func TestBlockUntilDue(t *testing.T) {
	clock := understudytest.NewClock()
	clock.AfterFunc(time.Second, func() {})
	found := make(chan int, 1)
	go func() {
		clock.BlockUntilDue(5 * time.Second)
		found <- clock.Pending()
	}()
	clock.AfterFunc(4*time.Second, func() {})
	clock.AfterFunc(5*time.Second, func() {})
	require.Equal(t, 3, <-found)
}

func TestTimeDoesNotRunBackwards(t *testing.T) {
	require.Panics(t, func() { understudytest.NewClock().Advance(-1) })
}

// A panic in a timer's function is its own: the clock goes on.
func TestAPanicLeavesTheClockUsable(t *testing.T) {
	clock := understudytest.NewClock()
	clock.AfterFunc(time.Second, func() { panic("mine") })
	require.PanicsWithValue(t, "mine", func() { clock.Advance(time.Second) })
	clock.Advance(time.Second)
	require.Zero(t, clock.Pending())
}

// The clock against a list that is searched from end to end.
func TestClockIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := understudytest.NewClock()
		type entry struct {
			due   time.Duration
			order int
			timer understudy.Timer
			id    int
		}
		var (
			now   time.Duration
			order int
			model []*entry
			all   []*entry
			ran   []int
		)
		d := rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second
		})
		waits := func(e *entry) bool { return slices.Contains(model, e) }
		drop := func(e *entry) { model = slices.DeleteFunc(model, func(x *entry) bool { return x == e }) }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				after := d.Draw(t, "after")
				e := &entry{due: now + after, order: order, id: len(all)}
				order++
				e.timer = clock.AfterFunc(after, func() { ran = append(ran, e.id) })
				model, all = append(model, e), append(all, e)
			},
			"stop": func(t *rapid.T) {
				if len(all) > 0 {
					e := rapid.SampledFrom(all).Draw(t, "which")
					require.Equal(t, waits(e), e.timer.Stop())
					drop(e)
				}
			},
			"reset": func(t *rapid.T) {
				if len(all) > 0 {
					e, after := rapid.SampledFrom(all).Draw(t, "which"), d.Draw(t, "after")
					require.Equal(t, waits(e), e.timer.Reset(after))
					drop(e)
					e.due, e.order = now+after, order
					order++
					model = append(model, e)
				}
			},
			"advance": func(t *rapid.T) {
				by := d.Draw(t, "by")
				now += by
				ran = nil
				clock.Advance(by)
				slices.SortFunc(model, func(a, b *entry) int {
					if a.due != b.due {
						return int(a.due - b.due)
					}
					return a.order - b.order
				})
				var want []int
				for len(model) > 0 && model[0].due <= now {
					want = append(want, model[0].id)
					model = model[1:]
				}
				require.Equal(t, want, ran)
			},
			"": func(t *rapid.T) { require.Equal(t, len(model), clock.Pending()) },
		})
	})
}

func TestClockTogether(t *testing.T) {
	clock := understudytest.NewClock()
	began := clock.Now()
	var ran atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 200 {
				timer := clock.AfterFunc(time.Duration(i%3)*time.Millisecond, func() { ran.Add(1) })
				if i%5 == 4 && timer.Stop() {
					ran.Add(1)
				}
				clock.Advance(time.Millisecond)
			}
		})
	}
	all.Wait()
	clock.Advance(time.Second)
	require.EqualValues(t, 1600, ran.Load())
	require.Equal(t, 1600*time.Millisecond+time.Second, clock.Now().Sub(began), "moves add up")
}
