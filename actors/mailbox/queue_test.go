package mailbox

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestQueueIsAFifoThatHoldsOnlyWhatItNeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []int
		next := 0
		for _, step := range rapid.SliceOfN(rapid.IntRange(-40, 40), 0, 30).Draw(t, "steps") {
			for range step { // push
				q.push(next)
				model = append(model, next)
				next++
			}
			for range min(-step, len(model)) { // pop
				require.Equal(t, model[0], q.pop())
				model = model[1:]
			}
			require.Equal(t, len(model), q.n)
			held := 0
			for c := q.head; c != nil; c = c.next {
				held++
			}
			if len(model) == 0 {
				require.Zero(t, held)
			}
			require.LessOrEqual(t, held, len(model)/chunkLen+2)
		}
	})
}

func TestQueueForgetsWhatWasPopped(t *testing.T) {
	var q queue
	for i := range 3 * chunkLen {
		q.push(i)
	}
	first := q.head
	for range chunkLen - 1 {
		q.pop()
	}
	for i, slot := range first.slots[:chunkLen-1] {
		require.Nil(t, slot, "slot %d", i)
	}
}
