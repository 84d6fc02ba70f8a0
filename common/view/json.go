package view

import (
	"encoding/json"
	"errors"
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
			dst = appendString(dst, r.Text)
			continue
		}
		dst = strconv.AppendInt(dst, r.Num[num], 10)
		num++
	}
	return append(dst, ']')
}

// appendString appends a JSON string; almost every code and country is plain.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if b := s[i]; b < ' ' || b > '~' || b == '"' || b == '\\' {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
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
			r.Text, err = parseString(cells[i])
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

// parseString reads a JSON string; null is none.
func parseString(cell json.RawMessage) (string, error) {
	if len(cell) == 0 || cell[0] != '"' {
		return "", errors.New("want a string")
	}
	var s string
	err := json.Unmarshal(cell, &s)
	return s, err
}
