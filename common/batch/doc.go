// Package batch is the second of the two kernels: the seven views in SQL over
// sets of lines, for DuckDB. It makes partials, merges them and finishes them; and it
// writes and reads lines and partials in Parquet files by the column, for what needs no
// SQL.
//
// It may import event, view and duck. Its invariant: integers only, and the same
// partials as the stream kernel makes of the same lines.
package batch
