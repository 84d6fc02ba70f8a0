package alerts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"archbench/common/eventlog"
	"archbench/common/view"
)

// version is that of the records' content.
const version = 1

// Alert says that a customer's sum of a window reached the threshold.
type Alert struct {
	Version     int        `json:"v"`
	Rules       view.Rules `json:"rules"`
	WindowStart int64      `json:"window_start"` // ms since the epoch
	CustomerID  int64      `json:"customer_id"`
	GrossMilli  int64      `json:"gross_milli"` // the sum with the crossing line, thousandths of a pound
	// The place of the crossing line in orders.
	OrdersPartition int   `json:"orders_partition"`
	OrdersOffset    int64 `json:"orders_offset"`
	DetectedUS      int64 `json:"detected_us"` // when the architecture detected it, µs since the epoch
}

// Identity is what makes two records the same alert.
type Identity struct {
	Rules                   view.Rules
	WindowStart, CustomerID int64
}

// Identity is that of the alert.
func (a *Alert) Identity() Identity { return Identity{a.Rules, a.WindowStart, a.CustomerID} }

// record is the alert as it stands in the topic.
func (a *Alert) record() (eventlog.Record, error) {
	a.Version = version
	value, err := json.Marshal(a)
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("encode an alert: %w", err)
	}
	return eventlog.Record{Key: strconv.AppendInt(nil, a.CustomerID, 10), Value: value}, nil
}

// Parse reads the value of a record of topic alerts. All fields must be there and
// no others.
func Parse(value []byte) (Alert, error) {
	var all struct {
		Version         *int        `json:"v"`
		Rules           *view.Rules `json:"rules"`
		WindowStart     *int64      `json:"window_start"`
		CustomerID      *int64      `json:"customer_id"`
		GrossMilli      *int64      `json:"gross_milli"`
		OrdersPartition *int        `json:"orders_partition"`
		OrdersOffset    *int64      `json:"orders_offset"`
		DetectedUS      *int64      `json:"detected_us"`
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return Alert{}, fmt.Errorf("not an alert: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Alert{}, errors.New("not an alert: something follows the object")
	}
	if all.Version == nil || all.Rules == nil || all.WindowStart == nil || all.CustomerID == nil || all.GrossMilli == nil ||
		all.OrdersPartition == nil || all.OrdersOffset == nil || all.DetectedUS == nil {
		return Alert{}, errors.New("not an alert: a field is missing")
	}
	if *all.Version != version {
		return Alert{}, fmt.Errorf("an alert of version %d, known is %d", *all.Version, version)
	}
	return Alert{*all.Version, *all.Rules, *all.WindowStart, *all.CustomerID, *all.GrossMilli, *all.OrdersPartition, *all.OrdersOffset, *all.DetectedUS}, nil
}
