// Package duck is the one place that opens DuckDB.
//
// It imports none of the project's packages. Its invariant: no database opened
// here downloads or loads an extension, or uses more memory and threads than told.
package duck
