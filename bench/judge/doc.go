// Package judge holds answers against the oracle, each at its own coverage.
//
// It may import bench/readers, results and common. Its invariant: every spooled
// answer is judged; one that cannot be read counts as wrong, and a read without
// an answer is counted as such and as nothing else.
package judge
