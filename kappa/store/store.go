package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

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
}

// Store is the state of one data directory.
type Store struct{ db *pebble.DB }

// Keys: 'r' holds the roles. A generation's keys are 'g', its number, the
// partition (both big-endian), then the kind of entry.
const (
	rolesKey   = "r"
	kindPos    = 'p'
	kindID     = 'i'
	kindRow    = 'w'
	prefixSize = 1 + 4 + 2
)

// Open opens the store in a directory, which it makes if need be. compacted is
// told how long each compaction took, on whatever goroutine.
func Open(dir string, compacted func(took time.Duration)) (*Store, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		Logger:        quiet{},
		EventListener: &pebble.EventListener{CompactionEnd: func(c pebble.CompactionInfo) { compacted(c.TotalDuration) }},
		MemTableSize:  32 << 20,
		CacheSize:     32 << 20, // the state is in memory; the store is read at start only
	})
	if err != nil {
		return nil, fmt.Errorf("open the state store %s: %w (if it is damaged, remove the data directory to build the state anew from the log)", dir, err)
	}
	return &Store{db}, nil
}

// quiet drops what Pebble says of its own work; errors come back from the calls.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// Fatalf is called when Pebble can no longer keep its promises.
func (quiet) Fatalf(format string, args ...any) {
	panic("state store: " + fmt.Sprintf(format, args...))
}

// Close closes the store. Batches that were not committed are lost.
func (s *Store) Close() error { return s.db.Close() }

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

// Batch is changes that are committed together.
type Batch struct {
	b   *pebble.Batch
	key []byte
	val []byte
}

// NewBatch returns an empty batch; Commit or Close ends it.
func (s *Store) NewBatch() *Batch { return &Batch{b: s.db.NewBatch()} }

// Commit makes the batch durable, all of it or nothing.
func (b *Batch) Commit() error {
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
	b.rowKey(generation, partition, kind, r)
	b.val = appendRow(b.val[:0], kind.Schema(), r)
	return b.b.Set(b.key, b.val, nil)
}

// DeleteRow removes the row with r's key.
func (b *Batch) DeleteRow(generation uint32, partition int, kind view.Partial, r view.Row) error {
	b.rowKey(generation, partition, kind, r)
	return b.b.Delete(b.key, nil)
}

// PutID writes a claimed id.
func (b *Batch) PutID(generation uint32, partition int, id stream.ID) error {
	b.key = append(prefix(b.key[:0], generation, partition), kindID)
	b.key = binary.BigEndian.AppendUint64(b.key, id.Hash.Hi)
	b.key = binary.BigEndian.AppendUint64(b.key, id.Hash.Lo)
	b.val = binary.BigEndian.AppendUint64(b.val[:0], id.Content)
	return b.b.Set(b.key, b.val, nil)
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

// partialCode is the byte that stands for a partial in keys. It is part of the
// format: new partials go to the end.
func partialCode(kind view.Partial) byte {
	for i, k := range view.Partials() {
		if k == kind {
			return byte(i)
		}
	}
	return 0xff
}

// rowKey is the row's key columns; integers sort by value, text comes last.
func (b *Batch) rowKey(generation uint32, partition int, kind view.Partial, r view.Row) {
	b.key = append(prefix(b.key[:0], generation, partition), kindRow, partialCode(kind))
	schema, num, text := kind.Schema(), 0, false
	for _, c := range schema.Columns[:schema.Keys] {
		if c.Text {
			text = true
			continue
		}
		b.key = binary.BigEndian.AppendUint64(b.key, uint64(r.Num[num])^1<<63)
		num++
	}
	if text {
		b.key = append(b.key, r.Text...)
	}
}

// appendRow writes the whole row, so that reading needs no parsing of keys.
func appendRow(dst []byte, s view.Schema, r view.Row) []byte {
	nums := len(s.Columns)
	for _, c := range s.Columns {
		if c.Text {
			nums--
		}
	}
	for _, n := range r.Num[:nums] {
		dst = binary.AppendVarint(dst, n)
	}
	return append(dst, r.Text...)
}

func readRow(value []byte, s view.Schema) (view.Row, error) {
	var r view.Row
	num := 0
	for _, c := range s.Columns {
		if c.Text {
			continue
		}
		n, size := binary.Varint(value)
		if size <= 0 {
			return r, fmt.Errorf("a row of %s is damaged", s.Name)
		}
		r.Num[num] = n
		num++
		value = value[size:]
	}
	r.Text = string(value)
	return r, nil
}

// Load reads a partition's position, rows and ids.
func (s *Store) Load(generation uint32, partition int, row func(view.Partial, view.Row), id func(stream.ID)) (pos Position, err error) {
	low := prefix(nil, generation, partition)
	high := prefix(nil, generation, partition+1)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return pos, fmt.Errorf("read the state store: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	partials := view.Partials()
	for it.First(); it.Valid(); it.Next() {
		key, value := it.Key()[prefixSize:], it.Value()
		switch {
		case key[0] == kindPos:
			if err := json.Unmarshal(value, &pos); err != nil {
				return pos, fmt.Errorf("a position in the state store is damaged: %w", err)
			}
		case key[0] == kindID && len(key) == 17 && len(value) == 8:
			var i stream.ID
			i.Hash.Hi, i.Hash.Lo = binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:])
			i.Content = binary.BigEndian.Uint64(value)
			id(i)
		case key[0] == kindRow && len(key) > 1 && int(key[1]) < len(partials):
			kind := partials[key[1]]
			r, err := readRow(value, kind.Schema())
			if err != nil {
				return pos, err
			}
			row(kind, r)
		default:
			return pos, fmt.Errorf("the state store holds an entry of an unknown kind %q: it was written by another version, use an empty data directory", key[0])
		}
	}
	return pos, it.Error()
}

// Bytes is the store's size on disk.
func (s *Store) Bytes() int64 { return int64(s.db.Metrics().DiskSpaceUsage()) }
