package stream

// batches is a list that grows without being copied: between two commits of a
// backfill it takes in hundreds of thousands of entries.
type batches[E any] struct {
	full [][]E
	last []E
}

// perBatch is how many entries are allocated at once, after a first few.
const perBatch = 4096

func (b *batches[E]) add(e E) {
	if len(b.last) == cap(b.last) && len(b.last) >= perBatch {
		b.full = append(b.full, b.last)
		b.last = make([]E, 0, perBatch)
	}
	b.last = append(b.last, e)
}

// take hands every entry on, in the order in which they came, and forgets them.
func (b *batches[E]) take(f func(*E)) {
	for _, entries := range b.full {
		for i := range entries {
			f(&entries[i])
		}
	}
	for i := range b.last {
		f(&b.last[i])
	}
	clear(b.last) // what it points to may be let go of
	clear(b.full)
	b.full, b.last = b.full[:0], b.last[:0]
}
