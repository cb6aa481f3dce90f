package balance

import (
	"fmt"
	"math"
	"testing"
)

var (
	dublin    = &Location{53.35, -6.26}
	london    = &Location{51.51, -0.13}
	frankfurt = &Location{50.11, 8.68}
	virginia  = &Location{38.95, -77.45}
	sydney    = &Location{-33.87, 151.21}
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b *Location
		km   float64
	}{
		{dublin, dublin, 0}, {dublin, london, 464}, {dublin, frankfurt, 1090}, {dublin, virginia, 5460}, {virginia, sydney, 15690},
		{&Location{0, 0}, &Location{0, 180}, math.Pi * earthRadius}, {&Location{90, 0}, &Location{-90, 77}, math.Pi * earthRadius},
		{&Location{0, 179.5}, &Location{0, -179.5}, math.Pi * earthRadius / 180},
	} {
		if km := c.a.km(*c.b); math.Abs(km-c.km) > c.km/100 || math.Abs(c.b.km(*c.a)-km) > 1e-6 {
			t.Errorf("from %v to %v: %.0f km, not %.0f", *c.a, *c.b, km, c.km)
		}
	}
}

func TestNearness(t *testing.T) {
	here := Place{"eu-west-1a", "eu-west-1", dublin}
	order := []Place{ // each is nearer than the next
		{"eu-west-1a", "eu-west-1", sydney}, // what bears our names is where we are
		{"eu-west-1b", "eu-west-1", nil},
		{"a", "eu-west-2", london},
		{"eu-west-1a", "eu-central-1", frankfurt}, // a zone of that name elsewhere
		{"", "", virginia},
		{"", "", sydney},
		{"x", "y", nil},
	}
	for k := range order[1:] {
		if a, b := order[k].nearness(here), order[k+1].nearness(here); a >= b {
			t.Errorf("%v has class %d, %v has %d", order[k], a, order[k+1], b)
		}
	}
	equal(t, "a zone needs no region", Place{Zone: "eu-west-1a"}.nearness(here), sameZone)
	for _, p := range []Place{{}, {Region: "us"}, {Location: &Location{math.NaN(), 0}}} {
		equal(t, fmt.Sprint("unknown: ", p), p.nearness(here), nearnessUnknown)
	}
	equal(t, "nowhere", order[0].nearness(Place{}), nearnessUnknown)
	equal(t, "one band", Place{Location: &Location{53.4, -6.3}}.nearness(here), firstBand)
}

func abroad() []Member {
	return []Member{
		{ID: "sydney", Place: Place{"ap-southeast-2a", "ap-southeast-2", sydney}},
		{ID: "near", Place: Place{"us-east-1a", "us-east-1", virginia}},
		{ID: "somewhere"},
		{ID: "near too", Place: Place{"us-east-1a", "us-east-1", virginia}},
		{ID: "next door", Place: Place{"us-east-1b", "us-east-1", nil}},
		{ID: "dublin", Place: Place{"eu-west-1a", "eu-west-1", dublin}},
	}
}

var here = Place{"us-east-1a", "us-east-1", virginia}

// sentence 27: "`geographic` prefers region `us-east-1`." And it goes on by distance
// when those are out.
func TestGeographicTakesTheNearest(t *testing.T) {
	f := newFixture(t, Config{Pick: "geographic", Here: here}, abroad()...)
	for _, want := range []string{
		"[0 100 0 100 0 0]", // the zone
		"[0 0 0 200 0 0]",
		"[0 0 0 0 200 0]", // the region
		"[0 0 0 0 0 200]",
		"[200 0 0 0 0 0]",
		"[0 0 200 0 0 0]", // of which nothing is known
	} {
		counts := f.counts(200)
		if want == "[0 100 0 100 0 0]" { // by p2c
			equal(t, "in the zone", counts[1]+counts[3] == 200 && counts[1] >= 80 && counts[3] >= 80, true)
		} else {
			equal(t, "picks", fmt.Sprint(counts), want)
		}
		for i, n := range counts {
			if n > 0 {
				f.SetStatus(i, Status{Ready: true})
				break
			}
		}
	}
	f.SetStatus(4, eligible)
	equal(t, "back in the region", f.next(), 4)

	f = newFixture(t, Config{Pick: "geographic", Here: Place{Region: "us-east-1"}}, abroad()...)
	counts := f.counts(300)
	equal(t, "a node that knows its region only", counts[1]+counts[3]+counts[4], 300)
	f = newFixture(t, Config{Pick: "geographic"}, abroad()...)
	for i, n := range f.counts(600) {
		if n < 60 {
			t.Errorf("a node that knows nothing gives %d of 600 to %d", n, i)
		}
	}
}

// A class that is full passes on what it cannot take.
func TestGeographicSpillsOverWhenFull(t *testing.T) {
	list := abroad()
	for i := range list {
		list[i].Limit = 2
	}
	f := newFixture(t, Config{Pick: "geographic", Here: here}, list...)
	order := ""
	for range 12 {
		i := f.next()
		f.list[i].Load.Inflight.Add(1)
		order += fmt.Sprint(map[int]int{1: 0, 3: 0, 4: 1, 5: 2, 0: 3, 2: 4}[i])
	}
	equal(t, "classes in order", order, "000011223344")
	if i := f.next(); i != 1 && i != 3 {
		t.Errorf("all are full, and %d is asked", i)
	}
	f.list[5].Load.Inflight.Add(-1)
	equal(t, "who has room again", f.next(), 5)

	for i := range list {
		list[i].Priority = i / 3 // sydney, near and somewhere stand first
	}
	f = newFixture(t, Config{Tier: "priority", Pick: "geographic", Here: here}, list...)
	for i := range list {
		list[i].Load.Inflight.Store(0)
	}
	for range 3 {
		list[f.next()].Load.Inflight.Add(2)
	}
	equal(t, "the first tier is full, and the standby tier idle", f.next(), 1)
}

// A full class of many: whoever has room is found, or nearly.
func TestGeographicFindsRoomAmongMany(t *testing.T) {
	list := named(101)
	for i := range list {
		list[i].Limit, list[i].Place = 1, here
	}
	list[100].Place = Place{}
	f := newFixture(t, Config{Pick: "geographic", Here: here}, list...)
	for k := range 100 {
		i := f.next()
		equal(t, fmt.Sprint("near, request ", k), i < 100 && f.list[i].Load.Inflight.Load() == 0, true)
		f.list[i].Load.Inflight.Add(1)
	}
	equal(t, "the last resort", f.next(), 100)
}

// A request whose key is a zone or region goes there.
func TestGeographicGoesWhereTheKeySays(t *testing.T) {
	f := newFixture(t, Config{Pick: "geographic", Here: here}, abroad()...)
	at := func(key string, n int) string {
		counts := make([]int, len(f.list))
		for range n {
			counts[f.pickFor(Request{Key: key})]++
		}
		return fmt.Sprint(counts)
	}
	equal(t, "a region", at("eu-west-1", 10), "[0 0 0 0 0 10]")
	equal(t, "a zone", at("us-east-1b", 10), "[0 0 0 0 10 0]")
	equal(t, "a zone of several, in turn", at("us-east-1a", 10), "[0 5 0 5 0 0]")
	equal(t, "a region with a nearer zone", at("us-east-1", 10), "[0 5 0 5 0 0]")
	f.SetStatus(1, ranked(Suspect))
	equal(t, "by rank", at("us-east-1", 10), "[0 0 0 10 0 0]")
	f.SetStatus(3, Status{Ready: true})
	equal(t, "by rank rather than by zone", at("us-east-1", 10), "[0 0 0 0 10 0]")
	f.SetStatus(5, Status{Ready: true})
	equal(t, "nobody is there: as without a key", at("eu-west-1", 10), at("", 10))
	f.SetMembers(f.list[:1])
	equal(t, "a region that is gone", at("eu-west-1", 10), "[10 0 0 0 0 0]")
}

// What overflows is shared out in the farther class as if it were the nearest.
func TestGeographicSharesOutWhatOverflows(t *testing.T) {
	list := append(named(7), Member{ID: "full", Place: here, Limit: 1, Load: new(Load)})
	list[7].Load.Inflight.Store(1)
	f := newFixture(t, Config{Pick: "geographic", Here: here}, list...)
	for i, n := range f.counts(7000) {
		if i < 7 && (n < 900 || n > 1100) {
			t.Errorf("member %d has %d of 7000", i, n)
		}
	}
}
