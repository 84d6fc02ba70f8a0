package stream

import (
	"math"

	"github.com/zeebo/xxh3"
)

// recent holds the ids that policy bounded keeps, in two epochs. New ids go into
// the young one. When the old one has nothing left to keep, it is dropped whole
// and the young one takes its place: no id is deleted by itself, in memory or in
// a store. What is in memory beyond what must be kept is at most about as much
// again; whether an id is still kept is decided by its event time alone.
type recent struct {
	lateness   int64 // ms
	watermark  int64 // ms
	judging    int64 // horizon for the line at hand
	young, old epoch
}

// epoch is a set of ids that are dropped together.
type epoch struct {
	epoch  uint64
	ids    map[xxh3.Uint128]claimed
	latest int64 // greatest event time of its ids
}

type claimed struct {
	content uint64
	time    int64 // event time of the first line, ms
}

// leastEpoch is how many ids an epoch holds at least before it is closed, so that
// a short lateness does not close one with every line.
const leastEpoch = 4096

func newRecent(lateness int64) *recent {
	return &recent{lateness: lateness, watermark: math.MinInt64, judging: math.MinInt64, young: newEpoch(2), old: newEpoch(1)}
}

func newEpoch(number uint64) epoch {
	return epoch{number, map[xxh3.Uint128]claimed{}, math.MinInt64}
}

// horizon is the least event time that is not late at a watermark.
func (r *recent) horizon(watermark int64) int64 {
	if watermark < math.MinInt64+r.lateness { // no line yet
		return math.MinInt64
	}
	return watermark - r.lateness
}

// advance moves the watermark and reports whether the line is in time, which the
// lines before it decide.
func (r *recent) advance(at int64) bool {
	r.judging = r.horizon(r.watermark)
	r.watermark = max(r.watermark, at)
	return at >= r.judging
}

// find looks an id up. The young epoch goes first: an id that expired may have
// been claimed anew while its old entry is still there.
func (r *recent) find(hash xxh3.Uint128) (content uint64, taken bool) {
	c, found := r.young.ids[hash]
	if !found {
		c, found = r.old.ids[hash]
	}
	return c.content, found && c.time >= r.judging
}

// put keeps an id and returns its epoch.
func (r *recent) put(id ID) uint64 {
	if r.old.latest < r.judging && len(r.young.ids) >= leastEpoch {
		room := r.old.ids
		clear(room)
		r.old = r.young
		r.young = epoch{r.old.epoch + 1, room, math.MinInt64}
	}
	r.young.put(id)
	return r.young.epoch
}

func (e *epoch) put(id ID) {
	e.ids[id.Hash] = claimed{id.Content, id.Time}
	e.latest = max(e.latest, id.Time)
}

// restore takes ids in the order of their epochs, of which a store has two at most.
func (r *recent) restore(id ID) {
	if id.Epoch > r.young.epoch {
		r.old, r.young = r.young, newEpoch(id.Epoch)
	}
	if id.Epoch == r.young.epoch {
		r.young.put(id)
	} else {
		r.old.put(id)
	}
}
