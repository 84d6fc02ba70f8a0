package event

// scan reads the objects that the project's own producers write: no white space,
// no escapes, only known fields, plain integers. It returns false for anything
// else, valid or not, and leaves the verdict to the library.
func scan(v []byte, fieldsKnown fieldSet, f *fields) bool {
	if v[0] != '{' {
		return false
	}
	i := 1
	for {
		name, next, ok := scanText(v, i)
		if !ok || next >= len(v) || v[next] != ':' {
			return false
		}
		at, known := knownField(name)
		if !known || !fieldsKnown.has(at) || f.shape[at] != absent {
			return false
		}
		i = next + 1
		if i >= len(v) {
			return false
		}
		switch c := v[i]; {
		case c == '"':
			var s []byte
			if s, i, ok = scanText(v, i); !ok {
				return false
			}
			f.shape[at], f.text[at] = text, s
		case c == '-' || '0' <= c && c <= '9':
			var n int64
			if n, i, ok = scanInteger(v, i); !ok {
				return false
			}
			f.shape[at], f.number[at] = integer, n
		case c == 't' && at == fieldDeleted && len(v) >= i+4 && string(v[i:i+4]) == "true":
			f.shape[at], f.truth = boolean, true
			i += 4
		default:
			return false
		}
		if i >= len(v) {
			return false
		}
		switch v[i] {
		case ',':
			i++
		case '}':
			return i == len(v)-1
		default:
			return false
		}
	}
}

// scanText reads a quoted text without escapes that begins at i, and returns
// the place behind it.
func scanText(v []byte, i int) (s []byte, next int, ok bool) {
	if i >= len(v) || v[i] != '"' {
		return nil, 0, false
	}
	start := i + 1
	ascii := byte(0)
	for j := start; j < len(v); j++ {
		c := v[j]
		if c == '"' {
			s = v[start:j]
			return s, j + 1, ascii < 0x80 || validText(s)
		}
		if c == '\\' || c < 0x20 {
			return nil, 0, false
		}
		ascii |= c
	}
	return nil, 0, false
}

// scanInteger reads a plain integer of at most 18 digits.
func scanInteger(v []byte, i int) (n int64, next int, ok bool) {
	negative := v[i] == '-'
	if negative {
		i++
	}
	start := i
	for ; i < len(v) && '0' <= v[i] && v[i] <= '9'; i++ {
		if i-start >= 18 {
			return 0, 0, false
		}
		n = n*10 + int64(v[i]-'0')
	}
	if i == start || v[start] == '0' && i > start+1 {
		return 0, 0, false
	}
	if negative {
		n = -n
	}
	return n, i, true
}

// knownField finds a field by name; the switch compiles to comparisons by length.
func knownField(name []byte) (field, bool) {
	switch string(name) {
	case "v":
		return fieldV, true
	case "event_id":
		return fieldEventID, true
	case "order_id":
		return fieldOrderID, true
	case "line":
		return fieldLine, true
	case "kind":
		return fieldKind, true
	case "customer_id":
		return fieldCustomerID, true
	case "country":
		return fieldCountry, true
	case "stock_code":
		return fieldStockCode, true
	case "quantity":
		return fieldQuantity, true
	case "unit_price_milli":
		return fieldUnitPrice, true
	case "event_time_ms":
		return fieldEventTime, true
	case "emitted_us":
		return fieldEmitted, true
	case "channel":
		return fieldChannel, true
	case "segment":
		return fieldSegment, true
	case "deleted":
		return fieldDeleted, true
	case "valid_from_ms":
		return fieldValidFrom, true
	}
	return 0, false
}
