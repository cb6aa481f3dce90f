package balance

import "math/bits"

// bitset is a set of positions that finds its next element in a few steps, however
// many there are. Level 0 holds a bit per position, each level above a bit per word
// that is not zero; the top level is one word, so 100,000 positions need three levels.
type bitset [][]uint64

func newBitset(n int) bitset {
	var s bitset
	for {
		n = max(1, (n+63)/64)
		s = append(s, make([]uint64, n))
		if n == 1 {
			return s
		}
	}
}

func (s bitset) put(i int32, in bool) {
	for _, words := range s {
		w, bit := &words[i>>6], uint64(1)<<(i&63)
		was := *w
		if in {
			*w |= bit
		} else {
			*w &^= bit
		}
		if was != 0 == (*w != 0) {
			return
		}
		i >>= 6
	}
}

func (s bitset) has(i int32) bool { return s[0][i>>6]>>(i&63)&1 != 0 }

func (s bitset) empty() bool { return s[len(s)-1][0] == 0 }

// next returns the first element from i on that is below end, or end.
func (s bitset) next(i, end int32) int32 {
	for level := 0; level < len(s) && int(i>>6) < len(s[level]); level++ {
		if rest := s[level][i>>6] >> (i & 63); rest != 0 {
			i += int32(bits.TrailingZeros64(rest))
			for level > 0 {
				level--
				i = i<<6 | int32(bits.TrailingZeros64(s[level][i]))
			}
			return min(i, end)
		}
		i = i>>6 + 1 // nothing more in this word: on with the next, one level up
	}
	return end
}
