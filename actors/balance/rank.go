package balance

// Rank orders the members that may be picked, best first.
type Rank uint8

// The ranks. The zero value is Healthy.
const (
	Healthy  Rank = iota // nothing speaks against it
	Unknown              // the first result of its check is still out
	Degraded             // it works, but badly
	Suspect              // it failed a moment ago

	// LastResort is where those stand that only panic mode picks: they are not eligible.
	LastResort

	// out is the place of those that nothing picks.
	out
	ranks = int(out)
)

func (r Rank) String() string {
	switch r {
	case Healthy:
		return "healthy"
	case Unknown:
		return "unknown"
	case Degraded:
		return "degraded"
	case Suspect:
		return "suspect"
	case LastResort:
		return "last_resort"
	}
	return "out"
}
