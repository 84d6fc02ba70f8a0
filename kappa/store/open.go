package store

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Open opens the store in a directory, which it makes if need be. compacted is
// told how long each compaction took, on whatever goroutine.
func Open(dir string, compacted func(took time.Duration)) (*Store, error) {
	db, err := pebble.Open(dir, options(compacted))
	if err != nil {
		return nil, fmt.Errorf("open the state store %s: %w (if it is damaged, remove the data directory to build the state anew from the log)", dir, err)
	}
	return &Store{db: db}, nil
}

// options fit how Kappa uses the store. It writes one batch every commit interval,
// of a few hundred rows when it is live and of a hundred thousand when it catches up.
// The rows and ids of a partition come in the order of event time, more or less. It
// reads at the start, in the order of keys; under policy bounded answers read closed
// rows, a stretch at a time. It never asks for a single key but the positions and
// the roles, so there are no Bloom filters.
func options(compacted func(took time.Duration)) *pebble.Options {
	o := &pebble.Options{
		Logger:             quiet{},
		EventListener:      &pebble.EventListener{CompactionEnd: func(c pebble.CompactionInfo) { compacted(c.TotalDuration) }},
		FormatMajorVersion: pebble.FormatNewest,
		// A batch of more than half a memtable is sorted and flushed by itself. Half of
		// this holds what comes in a second of catching up. Two may be there at a time.
		MemTableSize: 64 << 20,
		// For stretches of closed rows that are asked for again; the open ones are in memory.
		CacheSize: 32 << 20,
		// Tables are read only in stretches, and one more to merge costs an answer little:
		// so what was flushed may wait for longer, and is rewritten less often.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 24,
		// One level holds all up to here. Each level more means that every row is rewritten
		// once more on its way down.
		LBaseMaxBytes: 1 << 30,
	}
	o.Experimental.SpanPolicyFunc = tablePerKind
	for i := range o.Levels {
		// A stretch is read whole: larger blocks mean less to look up and better compression.
		o.Levels[i].BlockSize = 32 << 10
	}
	return o
}

// tablePerKind makes a table end where the kind of entry does. Keys of one partition
// and kind arrive in the order of time, so a new table then lies behind all older
// ones, and a compaction moves it down as it is. If tables reached across kinds, each
// would overlap with everything that the next kind has ever written.
func tablePerKind(start []byte) (pebble.SpanPolicy, []byte, error) {
	if n := kindSize(start); n > 0 {
		return pebble.SpanPolicy{}, after(start[:n]), nil
	}
	return pebble.SpanPolicy{}, nil, nil
}

// kindSize is how many bytes of a key say whose it is and of which kind; 0: it is no
// generation's.
func kindSize(key []byte) int {
	n := prefixSize + 1
	if len(key) > prefixSize && key[prefixSize] == kindRow {
		n++ // the partial
	}
	if len(key) < n || key[0] != 'g' {
		return 0
	}
	return n
}

// after is the least key above all that begin with a prefix, which does not end in 0xff.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	end[len(end)-1]++
	return end
}
