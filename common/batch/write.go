package batch

import (
	"errors"
	"fmt"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"archbench/common/event"
)

// groupRows is how many rows a row group holds: DuckDB's own number.
const groupRows = 122_880

// PlacedChange is a profile change with its place in topic customers.
type PlacedChange struct {
	Partition int
	Offset    int64
	event.ProfileChange
}

// lineSchema and changeSchema are LineColumns and ChangeColumns as Arrow names them.
func lineSchema() *arrow.Schema {
	return schemaOf(
		column("partition", arrow.PrimitiveTypes.Int32), column("offset", arrow.PrimitiveTypes.Int64), column("event_id", arrow.BinaryTypes.String),
		column("kind", arrow.PrimitiveTypes.Int8), column("customer_id", arrow.PrimitiveTypes.Int64), column("country", arrow.BinaryTypes.String),
		column("stock_code", arrow.BinaryTypes.String), column("quantity", arrow.PrimitiveTypes.Int64),
		column("unit_price_milli", arrow.PrimitiveTypes.Int64), column("event_time_ms", arrow.PrimitiveTypes.Int64))
}

func changeSchema() *arrow.Schema {
	return schemaOf(
		column("partition", arrow.PrimitiveTypes.Int32), column("offset", arrow.PrimitiveTypes.Int64), column("customer_id", arrow.PrimitiveTypes.Int64),
		column("segment", arrow.BinaryTypes.String), column("valid_from_ms", arrow.PrimitiveTypes.Int64))
}

func schemaOf(columns ...arrow.Field) *arrow.Schema { return arrow.NewSchema(columns, nil) }

func column(name string, t arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: t, Nullable: true} // as DuckDB writes them
}

// WriteLines writes a Parquet file of the relation LineColumns that holds these lines in
// their order. It writes by the column, which takes a third of the time of a row at a
// time through a table. The file is complete and not yet durable.
func WriteLines(path string, lines []PlacedLine) error {
	return writeColumns(path, lineSchema(), len(lines), func(b *array.RecordBuilder, from, to int) {
		partitions, offsets, ids, kinds := b.Field(0).(*array.Int32Builder), b.Field(1).(*array.Int64Builder), b.Field(2).(*array.StringBuilder), b.Field(3).(*array.Int8Builder)
		customers, countries, codes := b.Field(4).(*array.Int64Builder), b.Field(5).(*array.StringBuilder), b.Field(6).(*array.StringBuilder)
		quantities, prices, times := b.Field(7).(*array.Int64Builder), b.Field(8).(*array.Int64Builder), b.Field(9).(*array.Int64Builder)
		for i := from; i < to; i++ {
			l := &lines[i]
			partitions.Append(int32(l.Partition))
			offsets.Append(l.Offset)
			ids.Append(l.EventID)
			kinds.Append(int8(l.Kind))
			customers.Append(l.CustomerID)
			countries.Append(l.Country)
			codes.Append(l.StockCode)
			quantities.Append(l.Quantity)
			prices.Append(l.UnitPriceMilli)
			times.Append(l.EventTimeMS)
		}
	})
}

// WriteChanges does the same with profile changes and ChangeColumns.
func WriteChanges(path string, changes []PlacedChange) error {
	return writeColumns(path, changeSchema(), len(changes), func(b *array.RecordBuilder, from, to int) {
		for i := from; i < to; i++ {
			c := &changes[i]
			b.Field(0).(*array.Int32Builder).Append(int32(c.Partition))
			b.Field(1).(*array.Int64Builder).Append(c.Offset)
			b.Field(2).(*array.Int64Builder).Append(c.CustomerID)
			b.Field(3).(*array.StringBuilder).Append(c.Segment)
			b.Field(4).(*array.Int64Builder).Append(c.ValidFromMS)
		}
	})
}

// writeColumns writes a file of so many rows, which fill appends to a builder.
func writeColumns(path string, schema *arrow.Schema, rows int, fill func(b *array.RecordBuilder, from, to int)) (err error) {
	failed := func(err error) error { return fmt.Errorf("write %s: %w", path, err) }
	f, err := os.Create(path)
	if err != nil {
		return failed(err)
	}
	w, err := pqarrow.NewFileWriter(schema, f, properties(), pqarrow.DefaultWriterProps())
	if err != nil {
		return failed(errors.Join(err, f.Close()))
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for from := 0; from < rows; from += groupRows {
		fill(b, from, min(from+groupRows, rows))
		if err := writeGroup(w, b); err != nil {
			return failed(errors.Join(err, f.Close()))
		}
	}
	if err := w.Close(); err != nil { // closes the file too
		return failed(err)
	}
	return nil
}

// properties are those of all files: columns of ever new values get no dictionary.
func properties() *parquet.WriterProperties {
	of := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryFor("event_id", false)}
	for _, ascends := range []string{"offset", "event_time_ms", "valid_from_ms"} {
		of = append(of, parquet.WithDictionaryFor(ascends, false), parquet.WithEncodingFor(ascends, parquet.Encodings.DeltaBinaryPacked))
	}
	return parquet.NewWriterProperties(of...)
}

func writeGroup(w *pqarrow.FileWriter, b *array.RecordBuilder) error {
	batch := b.NewRecordBatch()
	defer batch.Release()
	return w.Write(batch)
}
