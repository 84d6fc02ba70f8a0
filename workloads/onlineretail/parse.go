package onlineretail

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"archbench/common/event"
)

// maxTextBytes bounds the texts of a line, so that a record of it is never too long to be usable.
const maxTextBytes = 1000

// parseLine turns the fields of one line, eight as in the header, into an order
// line without EventID and Line. What it accepts is usable on the topic.
func parseLine(r []string, l *event.OrderLine) error {
	for _, i := range []int{0, 1, 7} {
		if err := checkText(header[i], r[i]); err != nil {
			return err
		}
	}
	quantity, err := strconv.ParseInt(r[3], 10, 64)
	if err != nil {
		return fmt.Errorf("column Quantity: %q is not an integer", r[3])
	}
	at, err := time.Parse(time.DateTime, r[4])
	if err != nil {
		return fmt.Errorf("column InvoiceDate: %q is not of the form 2006-01-02 15:04:05", r[4])
	}
	if ms := at.UnixMilli(); ms < event.MinTimeMS || ms >= event.MaxTimeMS {
		return fmt.Errorf("column InvoiceDate: %q is outside the years 2000 to 2100", r[4])
	}
	price, err := parseMilli(r[5])
	if err != nil {
		return fmt.Errorf("column UnitPrice: %q %w", r[5], err)
	}
	if !amountFits(quantity, price) {
		return fmt.Errorf("quantity %d times UnitPrice %s is beyond %d", quantity, r[5], int64(event.MaxAmountMilli/1000))
	}
	customer, err := parseCustomer(r[6])
	if err != nil {
		return err
	}
	*l = event.OrderLine{
		Version: 1, OrderID: strings.Clone(r[0]), Kind: kindOf(r[0], quantity, price), CustomerID: customer,
		Country: strings.Clone(r[7]), StockCode: strings.Clone(r[1]), Quantity: quantity, UnitPriceMilli: price, EventTimeMS: at.UnixMilli(),
	}
	return nil
}

func checkText(name, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("column %s is empty", name)
	case !utf8.ValidString(s):
		return fmt.Errorf("column %s: %q is not valid UTF-8", name, s)
	case len(s) > maxTextBytes:
		return fmt.Errorf("column %s has %d bytes, more than %d", name, len(s), maxTextBytes)
	}
	return nil
}

// parseCustomer reads digits or nothing; 0, like nothing, is a guest.
func parseCustomer(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("column CustomerID: %q is neither empty nor digits", s)
	}
	return int64(n), nil
}

// kindOf tells cancellations by their invoice number and sales by their signs.
func kindOf(invoice string, quantity, price int64) event.Kind {
	switch {
	case strings.HasPrefix(invoice, "C"):
		return event.Cancellation
	case quantity > 0 && price > 0:
		return event.Sale
	}
	return event.Adjustment
}

// parseMilli reads a decimal as thousandths, exactly or not at all.
func parseMilli(s string) (int64, error) {
	whole, places, _ := strings.Cut(s, ".")
	digits := strings.TrimPrefix(whole, "-")
	if digits == "" || strings.Trim(digits+places, "0123456789") != "" {
		return 0, errors.New("is not a decimal number")
	}
	if len(places) > 3 {
		places = places[:3] + strings.TrimRight(places[3:], "0")
	}
	if len(places) > 3 {
		return 0, errors.New("has more than three decimal places: it is no whole number of thousandths")
	}
	milli, err := strconv.ParseInt(whole+places+"000"[len(places):], 10, 64)
	if err != nil {
		return 0, errors.New("is too large")
	}
	return milli, nil
}

// amountFits reports whether |quantity × price| is within the bound for a usable line.
func amountFits(quantity, price int64) bool {
	const most = event.MaxAmountMilli
	if quantity == 0 || price == 0 {
		return true
	}
	if quantity < -most || quantity > most || price < -most || price > most {
		return false
	}
	return max(quantity, -quantity) <= most/max(price, -price)
}
