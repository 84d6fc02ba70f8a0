package batch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"archbench/common/event"
	"archbench/common/view"
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
	return readColumns(ctx, path, lineSchema(), everyGroup, func(rows arrow.RecordBatch) error {
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

// Part is what is wanted of a partial: the rows of windows in [From, To) and, of session
// fragments, those that end at EndsFrom or later too. All are ms since the epoch.
type Part struct{ From, To, EndsFrom int64 }

// Whole is all of a partial.
func Whole() Part { return Part{math.MinInt64, math.MaxInt64, math.MaxInt64} }

// has reports whether a row belongs to the part, or whether one of many may: window and
// end are then the least to the greatest.
func (p Part) has(leastWindow, greatestWindow, greatestEnd int64) bool {
	return greatestWindow >= p.From && leastWindow < p.To || greatestEnd >= p.EndsFrom && p.EndsFrom != math.MaxInt64
}

// ReadPartial reads the rows of a part from a Parquet file of a partial, in the order of
// the file. Row groups without any of them are passed over, so a file in the order of
// windows costs what the part does.
func ReadPartial(ctx context.Context, path string, kind view.Partial, part Part, use func(view.Row)) error {
	schema, window, end := partialSchema(kind), kind.Schema().Window, kind.Schema().Window
	if kind == view.SessionFragments {
		end = schema.FieldIndices("session_end")[0]
	} else {
		part.EndsFrom = math.MaxInt64
	}
	wanted := func(g *metadata.RowGroupMetaData, indexes []int) bool {
		least, greatest, known := between64(g, indexes[window])
		_, greatestEnd, knownEnd := between64(g, indexes[end])
		return !known || !knownEnd || part.has(least, greatest, greatestEnd)
	}
	texts := map[string]string{} // what use keeps must not be the file's memory
	return readColumns(ctx, path, schema, wanted, func(rows arrow.RecordBatch) error {
		c := columnsOf{rows: rows}
		var numbers [][]int64
		var text *array.String
		for i, column := range kind.Schema().Columns {
			if column.Text {
				text = c.texts(i)
			} else {
				numbers = append(numbers, c.numbers(i))
			}
		}
		windows, ends := c.numbers(window), c.numbers(end)
		if c.err != nil {
			return fmt.Errorf("read %s: %w", path, c.err)
		}
		var r view.Row
		for i := range int(rows.NumRows()) {
			if !part.has(windows[i], windows[i], ends[i]) {
				continue
			}
			for n := range numbers {
				r.Num[n] = numbers[n][i]
			}
			if text != nil {
				r.Text = own(texts, text.Value(i))
			}
			use(r)
		}
		return nil
	})
}

// own is a text that equal ones share and that borrows no memory.
func own(texts map[string]string, borrowed string) string {
	s, known := texts[borrowed]
	if !known {
		s = strings.Clone(borrowed)
		texts[s] = s
	}
	return s
}

func partialSchema(kind view.Partial) *arrow.Schema {
	var columns []arrow.Field
	for _, c := range kind.Schema().Columns {
		if c.Text {
			columns = append(columns, column(c.Name, arrow.BinaryTypes.String))
		} else {
			columns = append(columns, column(c.Name, arrow.PrimitiveTypes.Int64))
		}
	}
	return schemaOf(columns...)
}

// between64 are the least and the greatest value of a column in a row group, where the
// file says so.
func between64(g *metadata.RowGroupMetaData, column int) (least, greatest int64, known bool) {
	chunk, err := g.ColumnChunk(column)
	if err != nil {
		return 0, 0, false
	}
	found, err := chunk.Statistics()
	if err != nil || found == nil || !found.HasMinMax() {
		return 0, 0, false
	}
	s, ok := found.(*metadata.Int64Statistics)
	if !ok {
		return 0, 0, false
	}
	return s.Min(), s.Max(), true
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

func everyGroup(*metadata.RowGroupMetaData, []int) bool { return true }

// readColumns reads the columns that a schema names of a Parquet file, in its order, some
// thousand rows at a time, in the row groups that are wanted. wanted gets the schema's
// columns as they are numbered in the file. A batch is valid until use returns.
func readColumns(ctx context.Context, path string, schema *arrow.Schema, wanted func(*metadata.RowGroupMetaData, []int) bool, use func(arrow.RecordBatch) error) (err error) {
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
	groups := []int{}
	for n := range f.NumRowGroups() {
		if wanted(f.MetaData().RowGroup(n), indexes) {
			groups = append(groups, n)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	batches, err := r.GetRecordReader(ctx, indexes, groups)
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
