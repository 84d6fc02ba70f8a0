package disturb

import (
	"container/heap"

	"archbench/workloads"
)

// placed is an event with what is known of its place.
type placed struct {
	workloads.Event
	line    int64 // its number among the inner source's order lines; -1: none of them
	held    bool  // held back to be late
	skewed  bool  // its event time says nothing of the others'
	due     int64 // when it goes, on the scale of its queue
	arrived int64 // tells events of equal due apart
}

// queue holds back events until they are due. The scale is that of whoever asks.
type queue struct {
	heap    byDue
	arrived int64
}

func (q *queue) len() int { return len(q.heap) }

func (q *queue) hold(p placed, due int64) {
	q.arrived++
	p.due, p.arrived = due, q.arrived
	heap.Push(&q.heap, &p)
}

// has reports whether an event is due by now.
func (q *queue) has(now int64) bool { return len(q.heap) > 0 && q.heap[0].due <= now }

// take removes the event that is due first; there must be one.
func (q *queue) take() placed { return *heap.Pop(&q.heap).(*placed) }

// byDue implements heap.Interface.
type byDue []*placed

func (b byDue) Len() int      { return len(b) }
func (b byDue) Swap(i, j int) { b[i], b[j] = b[j], b[i] }
func (b byDue) Less(i, j int) bool {
	return b[i].due < b[j].due || b[i].due == b[j].due && b[i].arrived < b[j].arrived
}
func (b *byDue) Push(x any) { *b = append(*b, x.(*placed)) }
func (b *byDue) Pop() any {
	last := len(*b) - 1
	p := (*b)[last]
	(*b)[last] = nil
	*b = (*b)[:last]
	return p
}
