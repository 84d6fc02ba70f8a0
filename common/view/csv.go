package view

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Header returns the schema's column names.
func (s Schema) Header() []string {
	names := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		names[i] = c.Name
	}
	return names
}

// AppendCSV appends one row as a CSV line: LF at the end, integers in plain
// decimal, text quoted only if it holds a comma, a quote, CR or LF.
func (s Schema) AppendCSV(dst []byte, r *Row) []byte {
	num := 0
	for i, c := range s.Columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		if c.Text {
			dst = appendField(dst, r.Text)
			continue
		}
		dst = strconv.AppendInt(dst, r.Num[num], 10)
		num++
	}
	return append(dst, '\n')
}

func appendField(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") {
		return append(dst, s...)
	}
	return append(append(append(dst, '"'), strings.ReplaceAll(s, `"`, `""`)...), '"')
}

// WriteCSV writes the header line and all rows.
func (s Schema) WriteCSV(w io.Writer, rows []Row) error {
	b := bufio.NewWriterSize(w, 1<<16)
	if _, err := b.WriteString(strings.Join(s.Header(), ",") + "\n"); err != nil {
		return err
	}
	var line []byte
	for i := range rows {
		line = s.AppendCSV(line[:0], &rows[i])
		if _, err := b.Write(line); err != nil {
			return err
		}
	}
	return b.Flush()
}

// ReadCSV reads what WriteCSV wrote.
func (s Schema) ReadCSV(r io.Reader) ([]Row, error) {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	header, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: read the header: %w", s.Name, err)
	}
	if !slices.Equal(header, s.Header()) {
		return nil, fmt.Errorf("%s: the header is %s, want %s", s.Name, strings.Join(header, ","), strings.Join(s.Header(), ","))
	}
	var rows []Row
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		var row Row
		num := 0
		for i, column := range s.Columns {
			if column.Text {
				row.Text = strings.Clone(fields[i])
				continue
			}
			if row.Num[num], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("%s row %d: %s is %q, not an integer", s.Name, len(rows)+1, column.Name, fields[i])
			}
			num++
		}
		rows = append(rows, row)
	}
}
