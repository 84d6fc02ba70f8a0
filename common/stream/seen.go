package stream

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/zeebo/xxh3"

	"archbench/common/event"
)

// Claim is what became of a line's id.
type Claim uint8

// The outcomes of claiming an id.
const (
	First     Claim = iota // the id was new
	Duplicate              // the id was taken by a line with the same content
	Conflict               // the id was taken by a line with other content
	Late                   // policy bounded: the line came too late and claims nothing
)

// ID is a claimed id as it is kept: a 128-bit hash of the event id, and a hash
// of the first line's content. Two ids of one partition share a hash with
// probability 2⁻¹²⁸ a pair; 10 million ids collide with about 10⁻²⁵.
type ID struct {
	Hash    xxh3.Uint128
	Content uint64
	// Epoch and Time are there where ids expire: Time is the first line's event
	// time, and ids are dropped by whole epochs, which count from 1.
	Epoch uint64
	Time  int64
}

// Seen recognises the ids of one partition: for ever, or as policy bounded says.
// Lines are claimed in the order of the log. It is not safe for concurrent use.
type Seen struct {
	ids     map[xxh3.Uint128]uint64 // for ever
	recent  *recent                 // or this, as bounded says
	blind   bool                    // keeps no ids
	track   bool
	changed batches[ID]
	buf     []byte
}

// NewSeen returns an empty set that keeps ids for ever.
func NewSeen() *Seen { return &Seen{ids: map[xxh3.Uint128]uint64{}} }

// NewBoundedSeen returns an empty set under policy bounded: it knows the
// partition's watermark, refuses late lines, and keeps an id only as long as a
// line with its event time would not be late.
func NewBoundedSeen(lateness time.Duration) *Seen {
	return &Seen{recent: newRecent(lateness.Milliseconds())}
}

// Track makes the set remember new ids for TakeChanges.
func (s *Seen) Track() { s.track = true }

// WithoutIDs makes the set keep no ids: every line that is not late is the first of
// its id then.
func (s *Seen) WithoutIDs() *Seen {
	s.blind = true
	return s
}

// Claim claims the line's id, or says why the line does not count.
func (s *Seen) Claim(l *event.OrderLine) Claim {
	if s.recent != nil && !s.recent.advance(l.EventTimeMS) {
		return Late
	}
	if s.blind {
		return First
	}
	id := ID{Hash: xxh3.HashString128(l.EventID), Content: s.content(l), Time: l.EventTimeMS}
	if content, taken := s.find(id.Hash); taken {
		if content == id.Content {
			return Duplicate
		}
		return Conflict
	}
	if s.recent != nil {
		id.Epoch = s.recent.put(id)
	} else {
		s.ids[id.Hash] = id.Content
	}
	if s.track {
		s.changed.add(id)
	}
	return First
}

func (s *Seen) find(hash xxh3.Uint128) (content uint64, taken bool) {
	if s.recent != nil {
		return s.recent.find(hash)
	}
	content, taken = s.ids[hash]
	return content, taken
}

// Watermark is the greatest event time claimed so far, late lines and duplicates
// included, under policy bounded; math.MinInt64 before the first line.
func (s *Seen) Watermark() int64 {
	if s.recent == nil {
		return math.MinInt64
	}
	return s.recent.watermark
}

// Horizon is the least event time that is not late now.
func (s *Seen) Horizon() int64 {
	if s.recent == nil {
		return math.MinInt64
	}
	return s.recent.horizon(s.recent.watermark)
}

// Reserve makes room for so many ids that are about to be put back. Where ids
// expire there are few, and it does nothing.
func (s *Seen) Reserve(ids int64) {
	if s.recent == nil && !s.blind {
		s.ids = make(map[xxh3.Uint128]uint64, max(0, ids))
	}
}

// Restore puts back an id that a store kept. Ids of lower epochs come first.
func (s *Seen) Restore(id ID) {
	if s.recent != nil {
		s.recent.restore(id)
		return
	}
	s.ids[id.Hash] = id.Content
}

// RestoreWatermark puts back a watermark that a store kept, before lines are claimed.
func (s *Seen) RestoreWatermark(ms int64) {
	if s.recent != nil {
		s.recent.watermark = ms
	}
}

// Len is the number of ids in memory.
func (s *Seen) Len() int {
	if s.recent != nil {
		return len(s.recent.young.ids) + len(s.recent.old.ids)
	}
	return len(s.ids)
}

// TakeChanges reports the ids claimed since the last call, without those that
// have been dropped again, and the first epoch that is still kept: a store may
// drop what is below it.
func (s *Seen) TakeChanges(f func(ID)) (oldestEpoch uint64) {
	if s.recent != nil {
		oldestEpoch = s.recent.old.epoch
	}
	s.changed.take(func(id *ID) {
		if id.Epoch >= oldestEpoch {
			f(*id)
		}
	})
	return oldestEpoch
}

// content hashes what event.OrderLine.SameContent compares.
func (s *Seen) content(l *event.OrderLine) uint64 {
	b := s.buf[:0]
	b = append(b, byte(l.Kind))
	for _, n := range [...]int64{l.CustomerID, l.Quantity, l.UnitPriceMilli, l.EventTimeMS, int64(len(l.Country))} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = append(append(b, l.Country...), l.StockCode...)
	s.buf = b
	return xxh3.Hash(b)
}
