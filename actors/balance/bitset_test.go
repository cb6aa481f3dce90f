package balance

import (
	"testing"

	"pgregory.net/rapid"
)

func TestBitsetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 63, 64, 65, 4096, 4097, 300_000}).Draw(t, "n")
		at := rapid.Int32Range(0, int32(n-1))
		s, naive := newBitset(n), map[int32]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				i, in := at.Draw(t, "i"), rapid.Bool().Draw(t, "in")
				s.put(i, in)
				delete(naive, i)
				if in {
					naive[i] = true
				}
			},
			"next": func(t *rapid.T) {
				from, end := rapid.Int32Range(0, int32(n)).Draw(t, "from"), rapid.Int32Range(0, int32(n)).Draw(t, "end")
				want := end
				for i := range naive {
					if i >= from && i < want {
						want = i
					}
				}
				equal(t, "next", s.next(from, end), want)
			},
			"": func(t *rapid.T) { equal(t, "empty", s.empty(), len(naive) == 0) },
		})
	})
	equal(t, "a set of nothing", newBitset(0).next(0, 0), 0)
}
