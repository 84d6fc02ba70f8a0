// Package render turns a result into what people read: the table at the end of a
// run and the report.
//
// It may import results. Its invariant: it reads figures and computes none; an
// invalid measurement shows no headline figure.
package render
