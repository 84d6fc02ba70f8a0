package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/stream"
	"archbench/common/view"
)

// Position is how far a partition's state reaches, and what was counted on the way.
type Position struct {
	Orders      int64 `json:"orders"`
	Customers   int64 `json:"customers"`
	Unusable    int64 `json:"unusable"`
	Duplicate   int64 `json:"duplicate"`
	Conflicting int64 `json:"conflicting"`
	Late        int64 `json:"late"`

	// Under policy bounded, ms: the watermark, and the least event time of the lines
	// that count, without which those that were let go of in memory would be forgotten.
	Watermark int64 `json:"watermark,omitempty"`
	Earliest  int64 `json:"earliest,omitempty"`
}

// Generation is one instance of the state, under one version of the rules.
type Generation struct {
	Number uint32     `json:"number"`
	Rules  view.Rules `json:"rules"`
}

// Roles are which generations there are. The record that holds them is the
// switch: it changes in one batch.
type Roles struct {
	Served Generation  `json:"served"`
	Replay *Generation `json:"replay,omitempty"` // on its way to be served
	// Reigns are the rules that were served, and from where on.
	Reigns []architecture.Reign `json:"reigns"`
}

// Store is the state of one data directory.
type Store struct {
	db   *pebble.DB
	room atomic.Int64 // bytes that the next batch is made for

	using  sync.RWMutex // held for reading while the database is used
	closed bool
}

// ErrClosed means that the store was closed before.
var ErrClosed = errors.New("the state store is closed")

// use keeps the store open until done is called.
func (s *Store) use() (done func(), err error) {
	s.using.RLock()
	if s.closed {
		s.using.RUnlock()
		return nil, ErrClosed
	}
	return s.using.RUnlock, nil
}

// Keys: 'r' holds the roles, 'a' the alerts that wait to be written. A generation's keys are 'g', its number, the
// partition (both big-endian), then the kind of entry. Rows follow in the order of
// their windows, ids by epochs and then by the offset of orders up to which they
// were claimed.
const (
	rolesKey   = "r"
	alertsKey  = "a"
	kindPos    = 'p'
	kindID     = 'i'
	kindRow    = 'w'
	prefixSize = 1 + 4 + 2
	idKeySize  = prefixSize + 1 + 8 + 8 + 4
)

// quiet drops what Pebble says of its own work; errors come back from the calls.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is called when Pebble can no longer keep its promises.
func (quiet) Fatalf(format string, args ...any) {
	panic("state store: " + fmt.Sprintf(format, args...))
}

// Close waits for those who use the store and closes it. Batches that were not
// committed are lost.
func (s *Store) Close() error {
	s.using.Lock()
	defer s.using.Unlock()
	s.closed = true
	return s.db.Close()
}

// Roles reads the roles; ok is false in a new store.
func (s *Store) Roles() (r Roles, ok bool, err error) {
	content, closer, err := s.db.Get([]byte(rolesKey))
	if errors.Is(err, pebble.ErrNotFound) {
		return Roles{}, false, nil
	}
	if err != nil {
		return Roles{}, false, fmt.Errorf("read the roles: %w", err)
	}
	defer closer.Close()
	if err := json.Unmarshal(content, &r); err != nil {
		return Roles{}, false, fmt.Errorf("the roles in the state store are damaged: %w", err)
	}
	return r, true, nil
}

// Alerts reads those that were not acknowledged.
func (s *Store) Alerts() (waiting []alerts.Alert, err error) {
	content, closer, err := s.db.Get([]byte(alertsKey))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the alerts that wait: %w", err)
	}
	defer closer.Close()
	if err := json.Unmarshal(content, &waiting); err != nil {
		return nil, fmt.Errorf("the alerts in the state store are damaged: %w", err)
	}
	return waiting, nil
}

// Batch is changes that are committed together.
type Batch struct {
	s    *Store
	b    *pebble.Batch
	key  []byte
	val  []byte
	kind view.Partial // of the last row, and its layout: rows come kind by kind
	rows layout
}

// NewBatch returns an empty batch; Commit or Close ends it. It has room for as much
// as the last one, so that a large one is not copied again and again as it grows.
func (s *Store) NewBatch() *Batch {
	return &Batch{s: s, b: s.db.NewBatchWithSize(int(s.room.Load()))}
}

// Commit makes the batch durable, all of it or nothing.
func (b *Batch) Commit() error {
	done, err := b.s.use()
	if err != nil {
		return err
	}
	defer done()
	b.s.room.Store(int64(b.b.Len() + b.b.Len()/4))
	if err := b.b.Commit(pebble.Sync); err != nil {
		return fmt.Errorf("commit to the state store: %w", err)
	}
	return nil
}

// Close drops a batch that was not committed.
func (b *Batch) Close() error { return b.b.Close() }

// Empty reports whether nothing was written into the batch.
func (b *Batch) Empty() bool { return b.b.Empty() }

// SetRoles writes the roles.
func (b *Batch) SetRoles(r Roles) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the roles: %w", err)
	}
	return b.b.Set([]byte(rolesKey), content, nil)
}

// SetAlerts writes the alerts that were raised and not acknowledged.
func (b *Batch) SetAlerts(waiting []alerts.Alert) error {
	content, err := json.Marshal(waiting)
	if err != nil {
		return fmt.Errorf("encode alerts: %w", err)
	}
	return b.b.Set([]byte(alertsKey), content, nil)
}

// SetPosition writes a partition's position.
func (b *Batch) SetPosition(generation uint32, partition int, p Position) error {
	content, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode a position: %w", err)
	}
	return b.b.Set(append(prefix(b.key[:0], generation, partition), kindPos), content, nil)
}

// PutRow writes a partial row.
func (b *Batch) PutRow(generation uint32, partition int, kind view.Partial, r view.Row) error {
	b.rowKey(generation, partition, kind, &r)
	b.val = b.rows.append(b.val[:0], &r)
	return b.b.Set(b.key, b.val, nil)
}

// DeleteRow removes the row with r's key.
func (b *Batch) DeleteRow(generation uint32, partition int, kind view.Partial, r view.Row) error {
	b.rowKey(generation, partition, kind, &r)
	return b.b.Delete(b.key, nil)
}

func (b *Batch) rowKey(generation uint32, partition int, kind view.Partial, r *view.Row) {
	if b.kind != kind {
		b.kind, b.rows = kind, layoutOf(kind)
	}
	b.key = b.rows.key(b.key[:0], generation, partition, r)
}

// IDs puts ids into a batch that one partition claimed up to an offset of orders
// and since the batch before. Nothing asks the store for a single id, so they are
// stored as they came, many to an entry: a Pebble entry each would cost more than
// all else that a line costs.
type IDs struct {
	b          *Batch
	generation uint32
	partition  int
	upTo       int64
	blocks     uint32
	epoch      uint64
	val        []byte
	err        error
}

// idsPerBlock bounds an entry to some 128 KiB.
const idsPerBlock = 4096

// IDs begins to put ids; Close ends it.
func (b *Batch) IDs(generation uint32, partition int, upTo int64) *IDs {
	return &IDs{b: b, generation: generation, partition: partition, upTo: upTo, val: b.val[:0]}
}

// Put adds an id. Epochs never fall.
func (w *IDs) Put(id stream.ID) {
	if id.Epoch != w.epoch || len(w.val) >= idsPerBlock*idSize(id.Epoch) {
		w.flush()
		w.epoch = id.Epoch
	}
	w.val = binary.BigEndian.AppendUint64(w.val, id.Hash.Hi)
	w.val = binary.BigEndian.AppendUint64(w.val, id.Hash.Lo)
	w.val = binary.BigEndian.AppendUint64(w.val, id.Content)
	if id.Epoch > 0 {
		w.val = binary.BigEndian.AppendUint64(w.val, uint64(id.Time))
	}
}

// idSize is the bytes of an id: those that expire have a time.
func idSize(epoch uint64) int {
	if epoch > 0 {
		return 4 * 8
	}
	return 3 * 8
}

func (w *IDs) flush() {
	if len(w.val) == 0 {
		return
	}
	key := epochKey(w.b.key[:0], w.generation, w.partition, w.epoch)
	key = binary.BigEndian.AppendUint64(key, uint64(w.upTo))
	key = binary.BigEndian.AppendUint32(key, w.blocks)
	w.err = errors.Join(w.err, w.b.b.Set(key, w.val, nil))
	w.blocks++
	w.b.key, w.val = key, w.val[:0]
}

// Close puts what is left, and tells whether all was put.
func (w *IDs) Close() error {
	w.flush()
	w.b.val = w.val
	return w.err
}

// DropIDs removes the ids of all epochs below one.
func (b *Batch) DropIDs(generation uint32, partition int, below uint64) error {
	return b.b.DeleteRange(epochKey(nil, generation, partition, 0), epochKey(nil, generation, partition, below), nil)
}

func epochKey(dst []byte, generation uint32, partition int, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(append(prefix(dst, generation, partition), kindID), epoch)
}

// DropGeneration removes everything of a generation.
func (b *Batch) DropGeneration(generation uint32) error {
	return b.b.DeleteRange(prefix(nil, generation, 0)[:5], prefix(nil, generation+1, 0)[:5], nil)
}

func prefix(dst []byte, generation uint32, partition int) []byte {
	dst = append(dst, 'g')
	dst = binary.BigEndian.AppendUint32(dst, generation)
	return binary.BigEndian.AppendUint16(dst, uint16(partition))
}

// Bytes is the store's size on disk.
func (s *Store) Bytes() int64 { return int64(s.db.Metrics().DiskSpaceUsage()) }
