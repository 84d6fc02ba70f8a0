// Package lake keeps Iceberg tables on a local disk: a SQLite catalog, Parquet
// files that DuckDB wrote, snapshots that carry the coverage they include.
//
// It may import common. Its invariant: a table changes only by a commit, and can
// be taken back to a snapshot that was published, whatever a crash left behind.
package lake
