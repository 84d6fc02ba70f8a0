package batch

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"archbench/common/event"
)

// scanRows is how many rows of a file are in memory at once.
const scanRows = 8192

// PlacedLine is a line with its place in topic orders.
type PlacedLine struct {
	Partition int
	Offset    int64
	event.OrderLine
}

// ReadLines reads a Parquet file of lines, the relation LineColumns, in the order of its
// rows. It reads by the column: a query's rows would all be in memory at once, and be
// scanned one value at a time. A line and its texts are valid until use returns.
func ReadLines(ctx context.Context, path string, use func(*PlacedLine)) error {
	return readColumns(ctx, path, lineSchema(), func(rows arrow.RecordBatch) error {
		c := columnsOf{rows: rows}
		partitions, offsets, ids, kinds := c.small(0), c.numbers(1), c.texts(2), c.small(3)
		customers, countries, codes := c.numbers(4), c.texts(5), c.texts(6)
		quantities, prices, times := c.numbers(7), c.numbers(8), c.numbers(9)
		if c.err != nil {
			return fmt.Errorf("read %s: %w", path, c.err)
		}
		var l PlacedLine
		for i := range int(rows.NumRows()) {
			l.Partition, l.Offset = int(partitions(i)), offsets[i]
			l.EventID, l.Kind, l.CustomerID, l.Country = ids.Value(i), event.Kind(kinds(i)), customers[i], countries.Value(i)
			l.StockCode, l.Quantity, l.UnitPriceMilli, l.EventTimeMS = codes.Value(i), quantities[i], prices[i], times[i]
			use(&l)
		}
		return nil
	})
}

// columnsOf takes columns as Go slices, and remembers the first that is of another type.
type columnsOf struct {
	rows arrow.RecordBatch
	err  error
}

func (c *columnsOf) numbers(n int) []int64 {
	if a, ok := c.rows.Column(n).(*array.Int64); ok {
		return a.Int64Values()
	}
	c.unfit(n)
	return nil
}

func (c *columnsOf) texts(n int) *array.String {
	if a, ok := c.rows.Column(n).(*array.String); ok {
		return a
	}
	c.unfit(n)
	return nil
}

// small are integers of 32 bits, or of 8, which Iceberg does not have.
func (c *columnsOf) small(n int) func(row int) int32 {
	switch a := c.rows.Column(n).(type) {
	case *array.Int32:
		return a.Value
	case *array.Int8:
		return func(row int) int32 { return int32(a.Value(row)) }
	}
	c.unfit(n)
	return nil
}

func (c *columnsOf) unfit(n int) {
	if c.err == nil {
		c.err = fmt.Errorf("column %s is of type %s", c.rows.ColumnName(n), c.rows.Column(n).DataType())
	}
}

// readColumns reads the columns that a schema names of a Parquet file, in its order, some
// thousand rows at a time. A batch is valid until use returns.
func readColumns(ctx context.Context, path string, schema *arrow.Schema, use func(arrow.RecordBatch) error) (err error) {
	failed := func(err error) error { return fmt.Errorf("read %s: %w", path, err) }
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return failed(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	indexes := make([]int, schema.NumFields())
	for i, c := range schema.Fields() {
		if indexes[i] = f.MetaData().Schema.ColumnIndexByName(c.Name); indexes[i] < 0 {
			return failed(fmt.Errorf("it has no column %s", c.Name))
		}
	}
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: scanRows}, memory.DefaultAllocator)
	if err != nil {
		return failed(err)
	}
	batches, err := r.GetRecordReader(ctx, indexes, nil)
	if err != nil {
		return failed(err)
	}
	defer batches.Release()
	for batches.Next() {
		if err := use(batches.RecordBatch()); err != nil {
			return err
		}
	}
	if err := batches.Err(); err != nil {
		return failed(err)
	}
	return nil
}
