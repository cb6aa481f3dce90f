package mailbox

import "sync"

// chunkLen makes a chunk 256 bytes.
const chunkLen = 15

type chunk struct {
	next  *chunk
	slots [chunkLen]any
}

// chunks are shared by all mailboxes, so that a flood in one of them leaves
// nothing behind: its chunks serve the others, and the garbage collector takes
// those that nobody uses.
var chunks = sync.Pool{New: func() any { return new(chunk) }}

// queue is a first-in-first-out list of chunks. Its zero value is empty and owns
// no memory; an emptied queue owns none again. Nothing is ever copied, so a push
// costs the same at any length.
type queue struct {
	head, tail  *chunk
	read, write int32 // the next slot to read in head, to write in tail
	n           int
}

func (q *queue) push(msg any) {
	if q.tail == nil || q.write == chunkLen {
		c := chunks.Get().(*chunk)
		if q.tail == nil {
			q.head = c
		} else {
			q.tail.next = c
		}
		q.tail, q.write = c, 0
	}
	q.tail.slots[q.write] = msg
	q.write++
	q.n++
}

// pop takes the oldest message of a queue that is not empty.
func (q *queue) pop() any {
	c := q.head
	msg := c.slots[q.read]
	c.slots[q.read] = nil
	q.read++
	q.n--
	switch {
	case q.n == 0:
		*q = queue{}
		chunks.Put(c)
	case q.read == chunkLen:
		q.head, q.read = c.next, 0
		c.next = nil
		chunks.Put(c)
	}
	return msg
}
