// Package results is what a run leaves: the types of result.json and its files.
//
// It may import common. Its invariant: what was not measured or does not apply
// is absent, a measured zero is written, and what Write writes fits the schema.
package results
