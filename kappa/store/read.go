package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"archbench/common/stream"
	"archbench/common/view"
)

// Position reads a partition's position; ok is false before the first commit.
func (s *Store) Position(generation uint32, partition int) (pos Position, ok bool, err error) {
	done, err := s.use()
	if err != nil {
		return pos, false, err
	}
	defer done()
	content, closer, err := s.db.Get(append(prefix(nil, generation, partition), kindPos))
	if errors.Is(err, pebble.ErrNotFound) {
		return pos, false, nil
	}
	if err != nil {
		return pos, false, fmt.Errorf("read a position from the state store: %w", err)
	}
	defer closer.Close()
	if err := json.Unmarshal(content, &pos); err != nil {
		return pos, false, fmt.Errorf("a position in the state store is damaged: %w", err)
	}
	return pos, true, nil
}

// IDs yields a partition's ids, by epoch.
func (s *Store) IDs(generation uint32, partition int, f func(stream.ID)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	low, high := epochKey(nil, generation, partition, 0), append(prefix(nil, generation, partition), kindID+1)
	return each(s.db, low, high, func(key, value []byte) error {
		if len(key) != idKeySize {
			return errors.New("an id in the state store is damaged")
		}
		return eachID(binary.BigEndian.Uint64(key[prefixSize+1:]), value, f)
	})
}

// eachID yields the ids of one entry.
func eachID(epoch uint64, value []byte, f func(stream.ID)) error {
	size := idSize(epoch)
	if len(value)%size != 0 {
		return errors.New("an id in the state store is damaged")
	}
	for ; len(value) > 0; value = value[size:] {
		id := stream.ID{Epoch: epoch, Content: binary.BigEndian.Uint64(value[16:])}
		id.Hash.Hi, id.Hash.Lo = binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])
		if epoch > 0 {
			id.Time = int64(binary.BigEndian.Uint64(value[24:]))
		}
		f(id)
	}
	return nil
}

// Rows yields the rows of a partial whose window column is at least from.
func (s *Store) Rows(generation uint32, partition int, kind view.Partial, from int64, f func(view.Row)) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	return rows(s.db, generation, partition, kind, from, math.MaxInt64, f)
}

// Snapshot is the store as it was at one moment. It holds up Close.
type Snapshot struct {
	at   *pebble.Snapshot
	done func()
}

// Snapshot takes a snapshot, to be closed soon.
func (s *Store) Snapshot() (*Snapshot, error) {
	done, err := s.use()
	if err != nil {
		return nil, err
	}
	return &Snapshot{s.db.NewSnapshot(), done}, nil
}

// Close gives the snapshot back.
func (s *Snapshot) Close() error {
	defer s.done()
	return s.at.Close()
}

// Rows yields the rows of a partial whose window column lies in [from, to).
func (s *Snapshot) Rows(generation uint32, partition int, kind view.Partial, from, to int64, f func(view.Row)) error {
	return rows(s.at, generation, partition, kind, from, to, f)
}

func rows(r pebble.Reader, generation uint32, partition int, kind view.Partial, from, to int64, f func(view.Row)) error {
	l, shared := layoutOf(kind), texts{}
	low, high := l.windowKey(nil, generation, partition, from), l.windowKey(nil, generation, partition, to)
	return each(r, low, high, func(_, value []byte) error {
		row, err := l.read(value, shared)
		if err == nil {
			f(row)
		}
		return err
	})
}

func each(r pebble.Reader, low, high []byte, f func(key, value []byte) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return fmt.Errorf("read the state store: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		if err := f(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("read the state store: %w", err)
	}
	return nil
}
