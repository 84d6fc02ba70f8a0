package stream

import (
	"encoding/binary"

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
)

// ID is a claimed id as it is kept: a 128-bit hash of the event id, and a hash
// of the first line's content. Two ids of one partition share a hash with
// probability 2⁻¹²⁸ a pair; 10 million ids collide with about 10⁻²⁵.
type ID struct {
	Hash    xxh3.Uint128
	Content uint64
}

// Seen recognises the ids of one partition, for ever. It is not safe for
// concurrent use.
type Seen struct {
	ids     map[xxh3.Uint128]uint64
	blind   bool // keeps no ids
	track   bool
	changed []ID
	buf     []byte
}

// NewSeen returns an empty set.
func NewSeen() *Seen { return &Seen{ids: map[xxh3.Uint128]uint64{}} }

// Track makes the set remember new ids for TakeChanges.
func (s *Seen) Track() { s.track = true }

// WithoutIDs makes the set keep no ids: every line is the first of its id then.
func (s *Seen) WithoutIDs() *Seen {
	s.blind = true
	return s
}

// Claim claims the line's id, or says who has it.
func (s *Seen) Claim(l *event.OrderLine) Claim {
	if s.blind {
		return First
	}
	id := ID{xxh3.HashString128(l.EventID), s.content(l)}
	if content, taken := s.ids[id.Hash]; taken {
		if content == id.Content {
			return Duplicate
		}
		return Conflict
	}
	s.ids[id.Hash] = id.Content
	if s.track {
		s.changed = append(s.changed, id)
	}
	return First
}

// Restore puts back an id that a store kept.
func (s *Seen) Restore(id ID) { s.ids[id.Hash] = id.Content }

// Len is the number of ids.
func (s *Seen) Len() int { return len(s.ids) }

// TakeChanges reports the ids claimed since the last call.
func (s *Seen) TakeChanges(f func(ID)) {
	for _, id := range s.changed {
		f(id)
	}
	s.changed = s.changed[:0]
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
