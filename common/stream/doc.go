// Package stream is the first of the two kernels: the seven views in Go, an
// event at a time. It keeps mergeable partials, recognises ids, and finishes
// merged partials into views.
//
// Under policy bounded it also tells late lines, lets ids expire, and lets go of
// what no line in time can change any more.
//
// It may import event and view. Its invariant: the partials depend on the set of
// lines added and on nothing else, neither their order nor how they were split
// among states. Under policy bounded one of them, the lines by segment, depends on
// the profiles that were known when each line was added.
package stream
