// Package view defines what the seven views are, apart from how anybody
// computes them: parameters, business rules as data, the shape and order of
// rows, how a query acts on a finished view, the mergeable partials that the
// kernels exchange, and the exact difference of two answers.
//
// It may import event. Its invariant: nothing here depends on an architecture,
// a policy or the order in which lines arrive.
package view
