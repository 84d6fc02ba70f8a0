package batch

import (
	"context"
	"fmt"

	"archbench/common/event"
)

// Crossing is a line with which a customer's sum of an alert window reaches the threshold.
type Crossing struct {
	WindowStart int64 // ms since the epoch
	CustomerID  int64
	GrossMilli  int64 // the sum with the line, thousandths of a pound
	Partition   int
	Offset      int64
}

// Crossings finds, among lines that count, the crossing lines: before holds rows of
// view.SpendWindows of all lines that come before them in the log, and added those
// of the lines themselves, one for each key.
func (k Kernel) Crossings(ctx context.Context, db Source, counted, added, before string) ([]Crossing, error) {
	rows, err := db.QueryContext(ctx, fmt.Sprintf(`
		WITH had AS (SELECT window_start, customer_id, sum(gross_milli) AS had FROM %[3]s SEMI JOIN %[2]s USING (window_start, customer_id) GROUP BY ALL),
		reached AS (SELECT window_start, customer_id, coalesce(had, 0) AS had FROM %[2]s LEFT JOIN had USING (window_start, customer_id)
			WHERE coalesce(had, 0) < %[4]d AND coalesce(had, 0) + gross_milli >= %[4]d),
		sales AS (SELECT %[5]s AS window_start, customer_id, partition, "offset", gross FROM %[1]s WHERE kind = %[6]d AND customer_id <> 0),
		sums AS (SELECT *, had + sum(gross) OVER (PARTITION BY window_start, customer_id ORDER BY partition, "offset" ROWS UNBOUNDED PRECEDING) AS sum FROM sales JOIN reached USING (window_start, customer_id))
		SELECT window_start, customer_id, min(sum)::BIGINT, min(partition), min("offset") FROM sums WHERE sum >= %[4]d GROUP BY ALL ORDER BY ALL`,
		counted, added, before, k.Params.AlertThresholdMilli, slot(k.Params.Alert), event.Sale))
	if err != nil {
		return nil, fmt.Errorf("find what reaches the alert threshold: %w", err)
	}
	defer rows.Close()
	var found []Crossing
	for rows.Next() {
		var c Crossing
		if err := rows.Scan(&c.WindowStart, &c.CustomerID, &c.GrossMilli, &c.Partition, &c.Offset); err != nil {
			return nil, fmt.Errorf("find what reaches the alert threshold: %w", err)
		}
		found = append(found, c)
	}
	return found, rows.Err()
}
