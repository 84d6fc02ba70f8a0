package stream

import "archbench/common/view"

// values are the summed columns of a row; unused places stay zero.
type values [4]int64

// table holds additive rows by window and key.
type table[K comparable] struct {
	windows map[int64]map[K]*cell
	len     int
	track   bool
	changed batches[changedCell[K]]

	// Lines arrive mostly in time order, and those of one order one after another: so
	// the last window is looked at first, and the last row in it.
	lastStart int64
	last      map[K]*cell
	lastKey   K
	lastCell  *cell
}

type cell struct {
	values  values
	changed bool
}

type changedCell[K comparable] struct {
	window int64
	key    K
	cell   *cell
}

func newTable[K comparable]() *table[K] { return &table[K]{windows: map[int64]map[K]*cell{}} }

// add sums values into a row and returns it.
func (t *table[K]) add(window int64, key K, v values) *cell {
	c, isNew := t.cell(window, key)
	if isNew || v != (values{}) {
		t.note(window, key, c)
	}
	for i := range v {
		c.values[i] += v[i]
	}
	return c
}

// cell is a row, made on first use.
func (t *table[K]) cell(window int64, key K) (c *cell, isNew bool) {
	cells := t.last
	if cells == nil || t.lastStart != window {
		cells = t.windows[window]
		if cells == nil {
			cells = map[K]*cell{}
			t.windows[window] = cells
		}
		t.last, t.lastStart, t.lastCell = cells, window, nil
	}
	if t.lastCell != nil && t.lastKey == key {
		return t.lastCell, false
	}
	if c = cells[key]; c == nil {
		c, isNew = &cell{}, true
		cells[key] = c
		t.len++
	}
	t.lastKey, t.lastCell = key, c
	return c, isNew
}

// note remembers that a row changes, for takeCells.
func (t *table[K]) note(window int64, key K, c *cell) {
	if t.track && !c.changed {
		c.changed = true
		t.changed.add(changedCell[K]{window, key, c})
	}
}

// forget lets go of the windows of this size that end at or before the horizon.
func (t *table[K]) forget(horizon, size int64) {
	for w, cells := range t.windows {
		if w+size <= horizon {
			t.len -= len(cells)
			delete(t.windows, w)
		}
	}
	t.last, t.lastCell = nil, nil // it may be one of them
}

func takeCells[K comparable](t *table[K], kind view.Partial, put func(view.Partial, view.Row)) {
	t.changed.take(func(c *changedCell[K]) {
		c.cell.changed = false
		put(kind, rowOf(c.window, c.key, c.cell.values))
	})
}

// rowOf lays a cell out as the row that its partial's schema describes.
func rowOf[K comparable](window int64, key K, v values) view.Row {
	switch k := any(key).(type) {
	case string:
		return view.Row{Text: k, Num: [view.MaxNums]int64{window, v[0], v[1], v[2], v[3]}}
	case resident:
		return view.Row{Text: k.country, Num: [view.MaxNums]int64{window, k.customer}}
	case int64:
		return view.Row{Num: [view.MaxNums]int64{window, k, v[0], v[1]}}
	case block:
		return view.Row{Text: k.country, Num: [view.MaxNums]int64{window, k.number, v[0], v[1], v[2], v[3]}}
	}
	return view.Row{} // not reached: a table has one of these four keys
}
