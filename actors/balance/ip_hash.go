package balance

import (
	"net/netip"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// ipHash is consistent_hash by the client's address.
func (b *Balancer) ipHash(t *tier, last Rank, _ time.Duration, key string) (int, error) {
	return b.byKey(t, last, hashAddress(key)), nil
}

// hashAddress hashes an address, however it is written: with or without port and
// zone, an IPv4 address also as IPv6 has it (::ffff:1.2.3.4). As in nginx's ip_hash
// the whole IPv6 address counts. Of IPv4, nginx takes the network of 256 addresses;
// here the whole address counts, because behind one proxy or in one cluster all
// clients are of one network and would all share one endpoint. Any other key is hashed
// as it is.
func hashAddress(key string) uint64 {
	if a, ok := parseAddress(key); ok {
		whole := a.As16()
		return xxhash.Sum64(whole[:])
	}
	return xxhash.Sum64String(key)
}

// parseAddress looks before it parses, because a failed parse allocates its error.
func parseAddress(key string) (netip.Addr, bool) {
	colons, dots := strings.Count(key, ":"), strings.Count(key, ".")
	switch {
	case key == "" || colons < 2 && (dots != 3 || key[0] < '0' || key[0] > '9'):
		return netip.Addr{}, false
	case key[0] == '[' && key[len(key)-1] == ']':
		key = key[1 : len(key)-1]
	case key[0] == '[', colons == 1:
		a, err := netip.ParseAddrPort(key)
		return a.Addr(), err == nil
	}
	a, err := netip.ParseAddr(key)
	return a, err == nil
}
