package view

import (
	"bufio"
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

// ReadCSV reads what WriteCSV wrote. (encoding/csv would turn CR LF inside a
// text into LF, and then a right row looks wrong.)
func (s Schema) ReadCSV(r io.Reader) ([]Row, error) {
	records := &csvReader{r: bufio.NewReaderSize(r, 1<<16)}
	header, err := records.next()
	if err != nil {
		return nil, fmt.Errorf("%s: read the header: %w", s.Name, err)
	}
	if !slices.Equal(header, s.Header()) {
		return nil, fmt.Errorf("%s: the header is %s, want %s", s.Name, strings.Join(header, ","), strings.Join(s.Header(), ","))
	}
	var rows []Row
	for {
		fields, err := records.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		row, err := s.parseCSV(fields)
		if err != nil {
			return nil, fmt.Errorf("%s, row %d: %w", s.Name, len(rows)+1, err)
		}
		rows = append(rows, row)
	}
}

func (s Schema) parseCSV(fields []string) (r Row, err error) {
	if len(fields) != len(s.Columns) {
		return r, fmt.Errorf("there are %d columns, want %d", len(fields), len(s.Columns))
	}
	num := 0
	for i, column := range s.Columns {
		if column.Text {
			r.Text = fields[i]
			continue
		}
		if r.Num[num], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return r, fmt.Errorf("%s is %q, not an integer", column.Name, fields[i])
		}
		num++
	}
	return r, nil
}

// csvReader takes records apart, as appendField put them together.
type csvReader struct {
	r    *bufio.Reader
	line int // lines read
}

// next returns the next record's fields, or io.EOF after the last.
func (c *csvReader) next() ([]string, error) {
	text, err := c.r.ReadString('\n')
	if errors.Is(err, io.EOF) && text == "" {
		return nil, io.EOF
	}
	c.line++
	for err == nil && strings.Count(text, `"`)%2 == 1 { // an LF inside quotes
		var more string
		more, err = c.r.ReadString('\n')
		text += more
		c.line++
	}
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d is cut off: it does not end with LF", c.line)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", c.line, err)
	}
	return c.fields(strings.TrimSuffix(text, "\n"))
}

func (c *csvReader) fields(text string) ([]string, error) {
	var fields []string
	for {
		field, rest, more := strings.Cut(text, ",")
		if strings.HasPrefix(text, `"`) {
			var ok bool
			if field, rest, more, ok = quoted(text); !ok {
				return nil, fmt.Errorf("line %d: a quoted field is followed by more than a comma", c.line)
			}
		}
		fields = append(fields, field)
		if !more {
			return fields, nil
		}
		text = rest
	}
}

// quoted takes a quoted field off the front of text.
func quoted(text string) (field, rest string, more, ok bool) {
	end := 1
	for end < len(text) && (text[end] != '"' || strings.HasPrefix(text[end:], `""`)) {
		if text[end] == '"' {
			end++
		}
		end++
	}
	if end >= len(text) {
		return "", "", false, false
	}
	field, rest = strings.ReplaceAll(text[1:end], `""`, `"`), text[end+1:]
	if rest == "" {
		return field, "", false, true
	}
	rest, more = strings.CutPrefix(rest, ",")
	return field, rest, more, more
}
