// Package scenario runs measurements: topics, traffic, one architecture's process
// at a time, readers, and afterwards the verdict.
//
// It may import bench's other packages, workloads, testcontainers, results and
// common, and no architecture: each is a process behind HTTP. Its invariant:
// measure, then judge, then report; whatever happens, no process is left.
package scenario
