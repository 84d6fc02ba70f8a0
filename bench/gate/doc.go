// Package gate decides whether a measurement may show its figures.
//
// It may import results. Its invariant: a measurement that fails a gate says
// which, with the figure that failed it.
package gate
