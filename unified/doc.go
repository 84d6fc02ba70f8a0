// Package unified is the lakehouse architecture: micro-batches into Iceberg
// tables, bronze (records as received), silver (usable, deduplicated) and gold
// (partials), and one SQL kernel for a micro-batch and for all of history.
//
// It may import common only. Its invariant: what is served is what one durable
// record published; table commits that no record published are taken back, so a
// crash between them neither loses nor doubles a line. (Under a lesser guarantee the
// offsets stand apart from the record, and a crash between the two shows.)
package unified
