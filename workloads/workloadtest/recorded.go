package workloadtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

// Recorded is a log of synthetic events that lie encoded in files, one a partition:
// reading it costs little processor time and next to no memory, however long it is,
// so what a benchmark measures is what it does with the events.
type Recorded struct {
	topics eventlog.Topics
	parts  map[string][]recorded
}

// recorded is one partition: records, each behind its length.
type recorded struct {
	path string
	end  int64
	// index has the place of every indexEvery-th record, so that reading can begin anywhere.
	index []int64
}

const (
	indexEvery = 4096
	// recordedBatch is how many records a cursor hands out at a time, about what a
	// fetch from Kafka brings.
	recordedBatch = 4096
)

// Recording writes the first events of the default synthetic source into files below
// dir, so many lines of orders and the profile changes among them.
func Recording(t testing.TB, dir string, topics eventlog.Topics, partitions int, lines int64) *Recorded {
	t.Helper()
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	r := &Recorded{topics: topics, parts: map[string][]recorded{}}
	writers := map[string][]*recorder{}
	for _, topic := range []string{topics.Orders, topics.Customers} {
		for n := range partitions {
			w, err := newRecorder(filepath.Join(dir, fmt.Sprintf("%s-%d", topic, n)))
			if err != nil {
				t.Fatal(err)
			}
			writers[topic] = append(writers[topic], w)
		}
	}
	var e workloads.Event
	var key, value []byte
	for written := int64(0); written < lines; {
		if err := source.Next(&e); err != nil {
			t.Fatal(err)
		}
		topic := topics.Customers
		if e.Topic == workloads.Orders {
			topic = topics.Orders
			written++
		}
		key, value = e.AppendKey(key[:0]), e.AppendValue(value[:0], 0)
		if err := writers[topic][eventlog.Partition(key, partitions)].add(value); err != nil {
			t.Fatal(err)
		}
	}
	for topic, ws := range writers {
		for _, w := range ws {
			if err := w.close(); err != nil {
				t.Fatal(err)
			}
			r.parts[topic] = append(r.parts[topic], w.recorded)
		}
	}
	return r
}

// recorder writes one partition.
type recorder struct {
	recorded
	file  *os.File
	out   *bufio.Writer
	place int64
}

func newRecorder(path string) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{recorded: recorded{path: path}, file: file, out: bufio.NewWriterSize(file, 1<<18)}, nil
}

func (w *recorder) add(value []byte) error {
	if w.end%indexEvery == 0 {
		w.index = append(w.index, w.place)
	}
	var length [2]byte
	binary.LittleEndian.PutUint16(length[:], uint16(len(value)))
	w.place += int64(len(length) + len(value))
	w.end++
	_, err := w.out.Write(length[:])
	if err == nil {
		_, err = w.out.Write(value)
	}
	return err
}

func (w *recorder) close() error { return errors.Join(w.out.Flush(), w.file.Close()) }

// End is the log's end.
func (r *Recorded) End() coverage.Coverage {
	c := coverage.Zero(len(r.parts[r.topics.Orders]))
	for n := range c.Orders {
		c.Orders[n], c.Customers[n] = r.parts[r.topics.Orders][n].end, r.parts[r.topics.Customers][n].end
	}
	return c
}

// Partitions implements eventlog.Log.
func (r *Recorded) Partitions(_ context.Context, topic string) (int, error) {
	ps, ok := r.parts[topic]
	if !ok {
		return 0, fmt.Errorf("topic %s: %w", topic, eventlog.ErrUnknownTopic)
	}
	return len(ps), nil
}

// Bounds implements eventlog.Log.
func (r *Recorded) Bounds(_ context.Context, topic string, partition int) (start, end int64, err error) {
	return 0, r.parts[topic][partition].end, nil
}

// Fetch implements eventlog.Log. No recorded event needs it.
func (r *Recorded) Fetch(context.Context, string, int, int64) (eventlog.Record, error) {
	return eventlog.Record{}, errors.New("a recorded log is read forward only")
}

// Append implements eventlog.Log. What is written beside the events is of no
// interest to a benchmark, and goes nowhere.
func (r *Recorded) Append(context.Context, string, ...eventlog.Record) error { return nil }

// Close implements eventlog.Log.
func (r *Recorded) Close() error { return nil }

// Open implements eventlog.Log.
func (r *Recorded) Open(_ context.Context, topic string, partition int, offset int64) (eventlog.Cursor, error) {
	p := &r.parts[topic][partition]
	file, err := os.Open(p.path)
	if err != nil {
		return nil, err
	}
	c := &recordedCursor{p: p, file: file, in: bufio.NewReaderSize(file, 1<<18)}
	if len(p.index) == 0 {
		return c, nil
	}
	near := min(offset/indexEvery, int64(len(p.index)-1))
	if _, err := file.Seek(p.index[near], io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c.at = near * indexEvery
	return c, c.fill(int(offset - c.at))
}

type recordedCursor struct {
	p       *recorded
	at      int64
	file    *os.File
	in      *bufio.Reader
	records []eventlog.Record
	bytes   []byte
}

// Next implements eventlog.Cursor.
func (c *recordedCursor) Next(ctx context.Context) ([]eventlog.Record, error) {
	n := min(c.p.end-c.at, recordedBatch)
	if n == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := c.fill(int(n)); err != nil {
		return nil, err
	}
	return c.records, ctx.Err()
}

// fill reads so many records.
func (c *recordedCursor) fill(n int) error {
	c.records, c.bytes = c.records[:0], c.bytes[:0]
	for range n {
		var length [2]byte
		if _, err := io.ReadFull(c.in, length[:]); err != nil {
			return fmt.Errorf("read %s: %w", c.p.path, err)
		}
		begin, size := len(c.bytes), int(binary.LittleEndian.Uint16(length[:]))
		if cap(c.bytes)-begin < size { // records at hand keep the bytes that they have
			c.bytes, begin = make([]byte, 0, max(1<<20, size)), 0
		}
		c.bytes = c.bytes[:begin+size]
		if _, err := io.ReadFull(c.in, c.bytes[begin:]); err != nil {
			return fmt.Errorf("read %s: %w", c.p.path, err)
		}
		c.records = append(c.records, eventlog.Record{Offset: c.at, Value: c.bytes[begin:]})
		c.at++
	}
	return nil
}

// Close implements eventlog.Cursor.
func (c *recordedCursor) Close() error { return c.file.Close() }
