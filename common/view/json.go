package view

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// AppendJSON appends one row as a JSON array, its columns in the schema's order.
func (s Schema) AppendJSON(dst []byte, r *Row) []byte {
	dst = append(dst, '[')
	num := 0
	for i, c := range s.Columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		if c.Text {
			quoted, _ := json.Marshal(r.Text) // a string always marshals
			dst = append(dst, quoted...)
			continue
		}
		dst = strconv.AppendInt(dst, r.Num[num], 10)
		num++
	}
	return append(dst, ']')
}

// ParseJSON reads one row as AppendJSON wrote it; integers keep all 64 bits.
func (s Schema) ParseJSON(cells []json.RawMessage) (Row, error) {
	var r Row
	if len(cells) != len(s.Columns) {
		return r, fmt.Errorf("%s: a row has %d columns, want %d", s.Name, len(cells), len(s.Columns))
	}
	num := 0
	for i, c := range s.Columns {
		var err error
		if c.Text {
			err = json.Unmarshal(cells[i], &r.Text)
		} else {
			r.Num[num], err = strconv.ParseInt(string(cells[i]), 10, 64)
			num++
		}
		if err != nil {
			return r, fmt.Errorf("%s: column %s is %s: %w", s.Name, c.Name, cells[i], err)
		}
	}
	return r, nil
}
