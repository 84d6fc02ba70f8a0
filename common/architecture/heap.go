package architecture

import (
	"os"
	"runtime/debug"
)

// HeapBytes is where the collector of a process begins to work harder instead of
// letting the Go heap grow to twice what is live. With what lies outside that heap
// (DuckDB's bound, or Pebble's memtables and cache) a process stays within 4 GiB.
const HeapBytes = 3 << 30

// BoundHeap sets HeapBytes for this process, unless GOMEMLIMIT says otherwise. It is
// no wall: live data beyond it is kept, and costs collections.
func BoundHeap() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(HeapBytes)
	}
}
