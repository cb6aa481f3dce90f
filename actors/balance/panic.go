package balance

// Panic mode, panic_threshold in the configuration: when nobody is eligible, or, where
// it is a share, too few are to bear the load, it is better to try those that are
// said to be ill than to refuse or to drown the rest (Envoy's panic threshold).
//
// The tier is still the best one with somebody eligible: as long as the standby is
// well, nothing goes to an active tier of which all are ill. In that tier every rank is
// a candidate, the last resort among them. A retry takes the best rank not yet tried,
// of which the last resort is the last. Where rank does not matter, the last resort is
// as good as the eligible: a key goes to its own choice and a session stays with its
// member, or begins there, though it is ill, for as long as panic mode lasts.

// panics finds out whether panic mode is in force. The small difference forgives a
// product that came out a hair above a whole number.
func (b *Balancer) panics() bool {
	return b.reserve > 0 && (b.eligible == 0 ||
		float64(b.eligible) < b.config.PanicThreshold*float64(b.ready)-1e-9)
}

// lowest is the last rank that may be picked.
func (b *Balancer) lowest() Rank {
	if b.panic {
		return LastResort
	}
	return Suspect
}

// Panic reports whether panic mode is in force: the next pick may be a member of the
// last resort. Without any there is no panic mode, however few are eligible.
func (b *Balancer) Panic() bool { return b.panic }

// Reserve reports whether member i is of the last resort: not eligible, but panic mode
// may pick it. The endpoint must let such a request in although it is ill.
func (b *Balancer) Reserve(i int) bool { return b.members[i].place == LastResort }
