// Package workloadtest finds the real order data for tests, and holds views
// against the answers that are published beside it.
//
// It may import workloads and common. Its invariant: a test that needs the data
// runs, is skipped with the reason, or fails where the data is required.
package workloadtest
