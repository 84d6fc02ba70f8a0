package lake

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// scanRows is how many rows of a file are in memory at once.
const scanRows = 8192

// Scan reads some columns of a Parquet file, in the order they are named, some
// thousand rows at a time. A batch is valid until use returns.
func Scan(ctx context.Context, path string, columns []string, use func(arrow.RecordBatch) error) (err error) {
	failed := func(err error) error { return fmt.Errorf("read %s: %w", path, err) }
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return failed(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	indexes := make([]int, len(columns))
	for i, c := range columns {
		if indexes[i] = f.MetaData().Schema.ColumnIndexByName(c); indexes[i] < 0 {
			return failed(fmt.Errorf("it has no column %s", c))
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
