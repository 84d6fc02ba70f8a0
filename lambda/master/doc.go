// Package master is Lambda's master dataset: immutable Parquet segments of typed
// lines and profile changes by offset range, and the manifest that names them.
//
// It may import common. Its invariant: the segments' spans join from offset 0 to
// the manifest's coverage without gap or overlap; a file that is missing, torn
// or foreign is refused by name. Segments whose records were read again are kept
// beside the spans.
package master
