// Package workloads says what a source of events is. The sources themselves are
// packages below it.
//
// It may import common. Its invariant: a source yields the same events in the
// same order every time, apart from the time of sending.
package workloads
