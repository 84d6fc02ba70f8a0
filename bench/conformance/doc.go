// Package conformance is the one suite that every architecture passes: what an
// answer must be, during ingest, after restarts and crashes, under any batching
// and any rules, judged by the oracle at the answer's own coverage.
//
// It may import common, workloads and testcontainers/brokertest. Its invariant: no case
// waits by sleeping, each prints the seed that repeats it, and a case about a fault
// proves that the fault came. The suite itself is proven on a reference subject and on
// planted bugs.
package conformance
