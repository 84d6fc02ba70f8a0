package event

import (
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// Decoder turns record values into events. It keeps a table of repeated texts,
// so one Decoder serves one goroutine.
type Decoder struct {
	texts map[string]string
}

// maxTexts bounds the table of repeated texts; a source with more distinct ones starts it anew.
const maxTexts = 1 << 16

// NewDecoder returns a Decoder with an empty table.
func NewDecoder() *Decoder { return &Decoder{texts: map[string]string{}} }

// Order decodes one value of topic orders into l, which is overwritten whole.
// The texts in l do not alias value. A value that breaks a rule gives *Unusable.
func (d *Decoder) Order(value []byte, l *OrderLine) error {
	f, err := parse(value, orderFields)
	if err != nil {
		return err
	}
	return d.order(&f, l)
}

// Profile decodes one value of topic customers into c, which is overwritten
// whole. A value that breaks a rule gives *Unusable.
func (d *Decoder) Profile(value []byte, c *ProfileChange) error {
	f, err := parse(value, profileFields)
	if err != nil {
		return err
	}
	return profile(&f, c)
}

// parse reads the object, by the scanner where that understands it and by the library elsewhere.
func parse(value []byte, known fieldSet) (fields, error) {
	var f fields
	switch {
	case len(value) == 0:
		return f, unusable("the value is null or empty")
	case len(value) > MaxValueBytes:
		return f, unusable("the value has " + strconv.Itoa(len(value)) + " bytes, more than " + strconv.Itoa(MaxValueBytes))
	case scan(value, known, &f):
		return f, nil
	}
	return parseAny(value, known)
}

// field is a known field of either event.
type field uint8

const (
	fieldV field = iota
	fieldEventID
	fieldOrderID
	fieldLine
	fieldKind
	fieldCustomerID
	fieldCountry
	fieldStockCode
	fieldQuantity
	fieldUnitPrice
	fieldEventTime
	fieldEmitted
	fieldChannel
	fieldSegment
	fieldDeleted
	fieldValidFrom
	fieldCount
)

var fieldNames = [fieldCount]string{
	"v", "event_id", "order_id", "line", "kind", "customer_id", "country", "stock_code", "quantity",
	"unit_price_milli", "event_time_ms", "emitted_us", "channel", "segment", "deleted", "valid_from_ms",
}

// fieldSet is the fields that one of the events knows; others are ignored.
type fieldSet uint32

const (
	orderFields   fieldSet = 1<<fieldSegment - 1
	profileFields fieldSet = 1<<fieldV | 1<<fieldCustomerID | 1<<fieldEmitted | 1<<fieldSegment | 1<<fieldDeleted | 1<<fieldValidFrom
)

func (s fieldSet) has(f field) bool { return s>>f&1 == 1 }

func fieldOf(name string) (field, bool) {
	for f, n := range fieldNames {
		if n == name {
			return field(f), true
		}
	}
	return 0, false
}

// shape is the JSON type that was found for a field.
type shape uint8

const (
	absent shape = iota
	null
	integer
	text
	boolean
	other // a number that is no plain integer, an array, an object
)

// fields holds what an object said of the known fields.
type fields struct {
	shape  [fieldCount]shape
	number [fieldCount]int64
	text   [fieldCount][]byte // may alias the value
	truth  bool               // deleted
}

func (f *fields) integer(i field, required bool) (int64, error) {
	switch s := f.shape[i]; {
	case s == integer:
		return f.number[i], nil
	case s == absent || s == null:
		if required {
			return 0, unusable(fieldNames[i] + " is missing or null")
		}
		return 0, nil
	}
	return 0, unusable(fieldNames[i] + " is not a plain integer of 64 bits")
}

func (f *fields) requiredText(i field) ([]byte, error) {
	switch s := f.shape[i]; {
	case s == text && len(f.text[i]) > 0:
		return f.text[i], nil
	case s == text || s == absent || s == null:
		return nil, unusable(fieldNames[i] + " is missing, null or empty")
	}
	return nil, unusable(fieldNames[i] + " is not a text")
}

// order checks the rules for an order line and fills l.
func (d *Decoder) order(f *fields, l *OrderLine) error {
	version, err := f.version()
	if err != nil {
		return err
	}
	var texts [fieldCount][]byte
	for _, i := range [...]field{fieldEventID, fieldOrderID, fieldKind, fieldCountry, fieldStockCode} {
		if texts[i], err = f.requiredText(i); err != nil {
			return err
		}
	}
	var numbers [fieldCount]int64
	for _, i := range [...]field{fieldQuantity, fieldUnitPrice, fieldEventTime} {
		if numbers[i], err = f.integer(i, true); err != nil {
			return err
		}
	}
	for _, i := range [...]field{fieldLine, fieldCustomerID, fieldEmitted} {
		if numbers[i], err = f.integer(i, false); err != nil {
			return err
		}
	}
	if s := f.shape[fieldChannel]; s != absent && s != null && s != text {
		return unusable("channel is not a text")
	}
	kind, ok := ParseKind(string(texts[fieldKind]))
	if !ok {
		return unusable("kind " + strconv.Quote(string(texts[fieldKind])) + " is unknown")
	}
	quantity, price := numbers[fieldQuantity], numbers[fieldUnitPrice]
	switch {
	case kind == Sale && (quantity <= 0 || price <= 0):
		return unusable("a sale must have quantity and unit_price_milli above 0")
	case numbers[fieldCustomerID] < 0:
		return unusable("customer_id is negative")
	case !amountFits(quantity, price):
		return unusable("the amount, quantity times unit_price_milli, is beyond 10^12")
	case !timeFits(numbers[fieldEventTime]):
		return unusable("event_time_ms is outside the years 2000 to 2100")
	}
	ids := string(texts[fieldEventID]) + string(texts[fieldOrderID]) // one allocation for both
	n := len(texts[fieldEventID])
	*l = OrderLine{
		Version: version, EventID: ids[:n], OrderID: ids[n:], Line: numbers[fieldLine], Kind: kind,
		CustomerID: numbers[fieldCustomerID], Country: d.shared(texts[fieldCountry]), StockCode: d.shared(texts[fieldStockCode]),
		Quantity: quantity, UnitPriceMilli: price, EventTimeMS: numbers[fieldEventTime], EmittedUS: numbers[fieldEmitted],
	}
	if version >= 2 && f.shape[fieldChannel] == text {
		l.Channel = d.shared(f.text[fieldChannel])
	}
	return nil
}

// profile checks the rules for a profile change and fills c.
func profile(f *fields, c *ProfileChange) error {
	version, err := f.version()
	if err != nil {
		return err
	}
	customer, err := f.integer(fieldCustomerID, true)
	if err != nil {
		return err
	}
	validFrom, err := f.integer(fieldValidFrom, true)
	if err != nil {
		return err
	}
	emitted, err := f.integer(fieldEmitted, false)
	if err != nil {
		return err
	}
	if s := f.shape[fieldDeleted]; s != absent && s != null && s != boolean {
		return unusable("deleted is neither true nor false")
	}
	deleted := f.shape[fieldDeleted] == boolean && f.truth
	segment := ""
	switch s := f.shape[fieldSegment]; {
	case s == text:
		var ok bool
		if segment, ok = knownSegment(f.text[fieldSegment]); !ok {
			return unusable("segment " + strconv.Quote(string(f.text[fieldSegment])) + " is unknown")
		}
	case s != absent && s != null:
		return unusable("segment is not a text")
	}
	switch {
	case deleted && segment != "":
		return unusable("both segment and deleted are set")
	case !deleted && segment == "":
		return unusable("neither segment nor deleted is set")
	case customer < 0:
		return unusable("customer_id is negative")
	case !timeFits(validFrom):
		return unusable("valid_from_ms is outside the years 2000 to 2100")
	}
	*c = ProfileChange{Version: version, CustomerID: customer, Segment: segment, Deleted: deleted, ValidFromMS: validFrom, EmittedUS: emitted}
	return nil
}

func (f *fields) version() (int, error) {
	v, err := f.integer(fieldV, true)
	if err != nil {
		return 0, err
	}
	if v != 1 && v != 2 {
		return 0, unusable("v " + strconv.FormatInt(v, 10) + " is unknown")
	}
	return int(v), nil
}

func knownSegment(s []byte) (string, bool) {
	for _, known := range Segments() {
		if known == string(s) {
			return known, true
		}
	}
	return "", false
}

// shared returns b as a text that equal values share, so that a few thousand
// countries and codes are not allocated once a record.
func (d *Decoder) shared(b []byte) string {
	if s, ok := d.texts[string(b)]; ok {
		return s
	}
	if len(d.texts) >= maxTexts {
		clear(d.texts)
	}
	s := string(b)
	d.texts[s] = s
	return s
}

func amountFits(quantity, price int64) bool {
	hi, lo := bits.Mul64(magnitude(quantity), magnitude(price))
	return hi == 0 && lo <= MaxAmountMilli
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-(n + 1)) + 1
	}
	return uint64(n)
}

func timeFits(ms int64) bool { return ms >= MinTimeMS && ms < MaxTimeMS }

func unusable(reason string) error { return &Unusable{Reason: reason} }

// AppendKey appends the record key of an order line: the customer in decimal, or guest:<order_id>.
func AppendKey(dst []byte, l *OrderLine) []byte {
	if l.CustomerID == 0 {
		return append(append(dst, "guest:"...), l.OrderID...)
	}
	return strconv.AppendInt(dst, l.CustomerID, 10)
}

func validText(b []byte) bool { return utf8.Valid(b) }
