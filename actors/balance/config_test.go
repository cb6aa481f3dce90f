package balance

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/messages"
)

func TestDefaults(t *testing.T) {
	choose := func(string, []Candidate) int { return 0 }
	for _, c := range []struct{ given, want Config }{
		{Config{}, Config{Pick: "p2c_ewma", SpillThreshold: 0.5}},
		{Config{Tier: "priority", SpillThreshold: off}, Config{Tier: "priority", Pick: "p2c_ewma", SpillThreshold: off}},
		{Config{Pick: "priority"}, Config{Tier: "priority", Pick: "priority", SpillThreshold: 0.5}},
		{Config{Pick: "least_conn"}, Config{Pick: "least_connections", SpillThreshold: 0.5}},
		{Config{Pick: "least_request"}, Config{Pick: "least_connections", SpillThreshold: 0.5}},
		{Config{Pick: "maglev"}, Config{Pick: "consistent_hash", SpillThreshold: 0.5}},
		{Config{Pick: "sticky"}, Config{Pick: "sticky", SpillThreshold: 0.5, Sticky: 30 * time.Minute}},
		{Config{Pick: "random", Sticky: off}, Config{Pick: "random", SpillThreshold: 0.5, Sticky: off}},
		{Config{Pick: "wrong", SpillThreshold: 7}, Config{Pick: "wrong", SpillThreshold: 7}},
	} {
		got := c.given.WithDefaults()
		c.want.SlowStart = SlowStart{Window: 30 * time.Second, Aggression: 1, MinWeight: 0.1}
		c.want.StickyMax, c.want.HashBalance, c.want.Affinity = 100_000, 1.25, "optional"
		if !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(got.WithDefaults(), got) {
			t.Errorf("%+v: got %+v, want %+v", c.given, got, c.want)
		}
	}
	equal(t, "with a function", Config{Custom: choose}.WithDefaults().Pick, "custom")
}

func TestValidate(t *testing.T) {
	choose := func(string, []Candidate) int { return 0 }
	for _, c := range []struct {
		config  Config
		want    string // its faults, joined; "" for none
		invalid bool   // INVALID_STRATEGY is among them
	}{
		{Config{}, "", false},
		{Config{Pick: "custom"}, "", false},
		{Config{Custom: choose}, "", false},
		{Config{Pick: "custom", Custom: choose}, "", false},
		{Config{Tier: "priority", Pick: "weighted", Weights: map[string]int{"a": 1, "b": WeightMax}, SpillThreshold: 1}, "", false},
		{Config{SpillThreshold: off, PanicThreshold: off, SlowStart: SlowStart{Window: off}}, "", false},
		{Config{PanicThreshold: 1, SlowStart: SlowStart{Window: 24 * time.Hour, Aggression: 0.01, MinWeight: 1}}, "", false},
		{Config{Pick: "wieghted"}, `pick: unknown strategy "wieghted": did you mean "weighted"?`, true},
		{Config{Pick: "RoundRobin"}, `pick: unknown strategy "RoundRobin": did you mean "round_robin"?`, true},
		{Config{Pick: "least_reqest"}, `pick: unknown strategy "least_reqest": did you mean "least_connections"?`, true},
		{Config{Pick: "magic"}, `pick: unknown strategy "magic": known are round_robin, weighted, least_connections, least_conn, least_request, random, p2c_ewma, priority, health_based, geographic, ip_hash, consistent_hash, maglev, sticky, custom`, true},
		{Config{Pick: "magelv"}, `pick: unknown strategy "magelv": did you mean "consistent_hash"?`, true},
		{Config{Tier: "priority", Pick: "weighted", Sticky: 30 * time.Minute, StickyMax: 1_000_000, Affinity: "required"}, "", false},
		{Config{Pick: "maglev", Affinity: "required", HashBalance: off, Sticky: off}, "", false},
		{Config{Pick: "ip_hash", HashBalance: 100}, "", false},
		{Config{Pick: "sticky", Sticky: time.Nanosecond, Affinity: "required"}, "", false},
		{Config{Pick: "custom", Affinity: "required"}, "", false},
		{Config{Pick: "random", Affinity: "optional"}, "", false},
		{Config{Pick: "random", Affinity: "required"}, "affinity: is required, but random needs no key and nothing is sticky", false},
		{Config{Pick: "geographic", Affinity: "required"}, "affinity: is required, but geographic needs no key and nothing is sticky", false},
		{Config{Affinity: "require"}, `affinity: unknown affinity "require": did you mean "required"?`, false},
		{Config{Pick: "sticky", Sticky: off}, "sticky: cannot be off, for sticky is the pick", false},
		{Config{Sticky: -2, StickyMax: off, HashBalance: 1}, strings.Join([]string{
			"sticky: must be above 0, or off, is -2ns",
			"sticky_max: must be from 1 to 1000000, is -1",
			"hash_balance: must be above 1 and at most 100, or off, is 1",
		}, "\n"), false},
		{Config{HashBalance: math.NaN(), StickyMax: 1_000_001}, strings.Join([]string{
			"sticky_max: must be from 1 to 1000000, is 1000001",
			"hash_balance: must be above 1 and at most 100, or off, is NaN",
		}, "\n"), false},
		{Config{HashBalance: math.Inf(1)}, "hash_balance: must be above 1 and at most 100, or off, is +Inf", false},
		{Config{Here: Place{Location: &Location{-90, 180}}}, "", false},
		{Config{Here: Place{Location: &Location{-91, math.NaN()}}},
			"location: latitude -91 is not from -90 to 90", false},
		{Config{Here: Place{Location: &Location{Lon: math.NaN()}}}, "location: longitude NaN is not from -180 to 180", false},
		{Config{Tier: "prio"}, `tier: unknown tier "prio": did you mean "priority"?`, true},
		{Config{Tier: "zone"}, `tier: unknown tier "zone": known are priority`, true},
		{Config{Pick: "random", Custom: choose}, "pick: is random, so the custom function would never be asked", false},
		{Config{SpillThreshold: -0.5}, "spill_threshold: must be above 0 and at most 1, or off, is -0.5", false},
		{Config{SpillThreshold: math.NaN()}, "spill_threshold: must be above 0 and at most 1, or off, is NaN", false},
		{Config{PanicThreshold: 1.5}, "panic_threshold: must be last_resort, above 0 and at most 1, or off, is 1.5", false},
		{Config{PanicThreshold: math.NaN()}, "panic_threshold: must be last_resort, above 0 and at most 1, or off, is NaN", false},
		{Config{PanicThreshold: -0.5, SlowStart: SlowStart{Window: -2, Aggression: -1, MinWeight: 1.1}}, strings.Join([]string{
			"panic_threshold: must be last_resort, above 0 and at most 1, or off, is -0.5",
			"slow_start.window: must be above 0 and at most 24h0m0s, or off, is -2ns",
			"slow_start.aggression: must be above 0, is -1",
			"slow_start.min_weight: must be above 0 and at most 1, is 1.1",
		}, "\n"), false},
		{Config{Tier: "x", Pick: "y", Weights: map[string]int{"b": 70000, "a": 0}, SpillThreshold: 2}, strings.Join([]string{
			`tier: unknown tier "x": known are priority`,
			`pick: unknown strategy "y": known are round_robin, weighted, least_connections, least_conn, least_request, random, p2c_ewma, priority, health_based, geographic, ip_hash, consistent_hash, maglev, sticky, custom`,
			"weights.a: must be from 1 to 65535, is 0",
			"weights.b: must be from 1 to 65535, is 70000",
			"spill_threshold: must be above 0 and at most 1, or off, is 2",
		}, "\n"), true},
	} {
		err := c.config.Validate()
		got := ""
		if err != nil {
			got = err.Error()
		}
		equal(t, "faults", got, c.want)
		equal(t, "INVALID_STRATEGY in "+got, errors.Is(err, messages.ErrInvalidStrategy), c.invalid)
		if _, err := New(c.config, rand.New(rand.NewPCG(1, 2))); (err == nil) != (c.want == "") {
			t.Errorf("New: %v, but Validate %q", err, c.want)
		}
	}
}

// Weights in the configuration go before the endpoints' own; what is out of range counts as the nearest.
func TestWeights(t *testing.T) {
	f := newFixture(t, Config{Pick: "weighted", Weights: map[string]int{"a": 4}},
		Member{ID: "a", Weight: 9}, Member{ID: "b", Weight: 2}, Member{ID: "c"}, Member{ID: "d", Weight: -3})
	n := f.counts(80)
	if n[0] != 40 || n[1] != 20 || n[2] != 10 || n[3] != 10 {
		t.Fatalf("picks %v", n)
	}
}

func TestEveryStrategyOfTheDesignIsThere(t *testing.T) {
	for _, name := range []string{"round_robin", "weighted", "least_connections", "random", "p2c_ewma", "health_based",
		"priority", "geographic", "ip_hash", "consistent_hash", "sticky", "custom"} {
		equal(t, name, Config{Pick: name}.Validate(), nil)
		equal(t, "in tiers and sticky: "+name, Config{Tier: "priority", Pick: name, Sticky: time.Minute}.Validate(), nil)
	}
}

func TestSlowStartConfig(t *testing.T) {
	d := SlowStart{}.WithDefaults()
	equal(t, "defaults", d, SlowStart{Window: 30 * time.Second, Aggression: 1, MinWeight: 0.1})
	equal(t, "twice", d.WithDefaults(), d)
	equal(t, "off stays", SlowStart{Window: off}.WithDefaults().Window, off)
	if err := (SlowStart{}).Validate(); err != nil {
		t.Error(err)
	}
	err := SlowStart{Window: 25 * time.Hour, Aggression: math.Inf(1), MinWeight: math.NaN()}.Validate()
	equal(t, "faults", err.Error(), strings.Join([]string{
		"window: must be above 0 and at most 24h0m0s, or off, is 25h0m0s",
		"aggression: must be above 0, is +Inf",
		"min_weight: must be above 0 and at most 1, is NaN",
	}, "\n"))
}
