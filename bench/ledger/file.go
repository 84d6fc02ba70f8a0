package ledger

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/klauspost/compress/zstd"
)

// fileHead names the columns of ledger.zst, a compressed CSV.
const fileHead = "topic,partition,offset,event_index,intended_us"

// The topics' names in the file.
const (
	orders    = "orders"
	customers = "customers"
)

// Write writes the ledger to a file.
func (l *Ledger) Write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return errors.Join(fmt.Errorf("compress the ledger: %w", err), f.Close())
	}
	b := bufio.NewWriterSize(z, 1<<16)
	fmt.Fprintln(b, fileHead) // errors show at Flush
	var line []byte
	for _, t := range []struct {
		name    string
		entries [][]Entry
	}{{orders, l.Orders}, {customers, l.Customers}} {
		for p, entries := range t.entries {
			for o, e := range entries {
				line = append(append(line[:0], t.name...), ',')
				for i, n := range [...]int64{int64(p), int64(o), e.Index, e.IntendedUS} {
					if i > 0 {
						line = append(line, ',')
					}
					line = strconv.AppendInt(line, n, 10)
				}
				b.Write(append(line, '\n'))
			}
		}
	}
	if err := errors.Join(b.Flush(), z.Close(), f.Close()); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

// ReadFile reads what Write wrote, of so many partitions.
func ReadFile(path string, partitions int) (*Ledger, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("decompress the ledger: %w", err)
	}
	defer z.Close()
	l := &Ledger{Orders: make([][]Entry, partitions), Customers: make([][]Entry, partitions)}
	lines := csv.NewReader(z)
	lines.ReuseRecord = true
	for n := 0; ; n++ {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err == nil && n > 0 {
			err = l.add(record)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, n+1, err)
		}
	}
}

func (l *Ledger) add(record []string) error {
	if len(record) != 5 {
		return fmt.Errorf("%d columns, want %s", len(record), fileHead)
	}
	var nums [4]int64
	for i := range nums {
		n, err := strconv.ParseInt(record[i+1], 10, 64)
		if err != nil {
			return err
		}
		nums[i] = n
	}
	to := l.Orders
	if record[0] == customers {
		to = l.Customers
	} else if record[0] != orders {
		return fmt.Errorf("unknown topic %q", record[0])
	}
	p, offset := nums[0], nums[1]
	if p < 0 || p >= int64(len(to)) || offset != int64(len(to[p])) {
		return fmt.Errorf("%s partition %d offset %d is out of place", record[0], p, offset)
	}
	to[p] = append(to[p], Entry{nums[2], nums[3]})
	return nil
}
