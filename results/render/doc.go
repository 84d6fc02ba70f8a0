// Package render turns a result into what people read: the table at the end of a
// run and the report.
//
// It may import results and, of common, view. Its invariants: it is a pure
// function of the result; it computes nothing but medians and ranges over trials;
// an invalid measurement shows no headline figure.
package render
