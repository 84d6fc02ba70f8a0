// Package catalog opens the sources of events by their names.
//
// It may import workloads, the packages below it, and common. Its invariant: it
// is the one place where a name becomes a source, so that every command means
// the same events by it.
package catalog
