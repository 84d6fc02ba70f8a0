// Package stream is the first of the two kernels: the seven views in Go, an
// event at a time. It keeps mergeable partials, recognises ids, and finishes
// merged partials into views.
//
// It may import event and view. Its invariant: the partials depend on the set of
// lines added and on nothing else, neither their order nor how they were split
// among states.
package stream
