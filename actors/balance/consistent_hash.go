package balance

import (
	"time"

	"github.com/cespare/xxhash/v2"
)

// consistentHash gives each key its own member, by a Maglev table and with bounded
// load: see hash.go. No node and no process draws anything, so all agree.
func (b *Balancer) consistentHash(t *tier, last Rank, _ time.Duration, key string) (int, error) {
	return b.byKey(t, last, xxhash.Sum64String(key)), nil
}
