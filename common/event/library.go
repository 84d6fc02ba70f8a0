package event

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"unicode/utf8"
)

// parseAny reads any JSON object with the standard library, token by token, so
// that repeated fields and trailing bytes are seen. It decides for everything
// that scan does not understand.
func parseAny(value []byte, fieldsKnown fieldSet) (fields, error) {
	var f fields
	if !utf8.Valid(value) {
		return f, unusable("the value is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return f, unusable("the value is not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return f, unusable("the value is not a JSON object: " + err.Error())
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return f, unusable("the value is not a JSON object: " + err.Error())
		}
		at, known := fieldOf(name.(string)) // the decoder gives object keys as strings
		if !known || !fieldsKnown.has(at) {
			continue
		}
		if f.shape[at] != absent {
			return f, unusable(fieldNames[at] + " is given twice")
		}
		f.set(at, raw)
	}
	if _, err := d.Token(); err != nil {
		return f, unusable("the value is not a JSON object: " + err.Error())
	}
	if _, err := d.Token(); err != io.EOF {
		return f, unusable("there are bytes behind the JSON object")
	}
	return f, nil
}

// set notes one field's value, which is valid JSON.
func (f *fields) set(at field, raw json.RawMessage) {
	switch c := raw[0]; {
	case c == 'n':
		f.shape[at] = null
	case c == 't' || c == 'f':
		f.shape[at] = boolean
		if at == fieldDeleted {
			f.truth = c == 't'
		}
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			f.shape[at] = other
			return
		}
		f.shape[at], f.text[at] = text, []byte(s)
	case c == '-' || '0' <= c && c <= '9':
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			f.shape[at] = other
			return
		}
		f.shape[at], f.number[at] = integer, n
	default:
		f.shape[at] = other
	}
}
