// Package judge holds answers against the oracle, each at its own coverage.
//
// It may import bench/readers, results and common. Its invariant: every spooled
// answer is judged; one that failed or cannot be read counts as wrong.
package judge
