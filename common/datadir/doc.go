// Package datadir guards an architecture's data directory: one process at a
// time, and only state that was built with the same views from the same topics.
//
// It may import architecture, coverage, durable, eventlog and view. Its invariant: a directory that Open
// accepts fits the configuration; any other is refused with what to do.
package datadir
