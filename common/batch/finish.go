package batch

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"

	"archbench/common/view"
)

// Finish selects the rows that answer q, in order, from the view's partial and,
// for revenue_by_segment, the profiles. Rows of equal keys need not be merged yet.
func (k Kernel) Finish(q view.Query, partials, profiles string) string {
	schema := q.View.Schema()
	at := schema.Columns[schema.Window].Name
	var order []string
	for _, c := range schema.Columns[:schema.Keys] {
		order = append(order, c.Name)
	}
	s := fmt.Sprintf("WITH finished AS (SELECT * FROM (%s) WHERE %s) SELECT %s FROM finished", k.rows(q, partials, profiles), between(at, q.From, q.To), strings.Join(schema.Header(), ", "))
	if q.Last > 0 {
		s += fmt.Sprintf(" WHERE %[1]s IN (SELECT DISTINCT %[1]s FROM finished ORDER BY %[1]s DESC LIMIT %[2]d)", at, q.Last)
	}
	s += " ORDER BY " + strings.Join(order, ", ")
	if q.Limit > 0 {
		s += fmt.Sprintf(" LIMIT %d", q.Limit)
	}
	return s
}

func between(column string, from, to *int64) string {
	where := []string{"true"}
	if from != nil {
		where = append(where, fmt.Sprintf("%s >= %d", column, *from))
	}
	if to != nil {
		where = append(where, fmt.Sprintf("%s < %d", column, *to))
	}
	return strings.Join(where, " AND ")
}

// rows selects the finished view, cut down to the windows that q's bounds reach
// where that saves work.
func (k Kernel) rows(q view.Query, partials, profiles string) string {
	p := k.Params
	reach := q.To
	if q.View == view.RollingRevenue && q.To != nil {
		to := int64(math.MaxInt64)
		if size := p.HopSize.Milliseconds(); *q.To <= math.MaxInt64-size {
			to = *q.To + size // the panes of the last window lie above its start
		}
		reach = &to
	}
	switch {
	case q.View != view.CustomerSessions:
		partials = fmt.Sprintf("(SELECT * FROM %s WHERE %s)", partials, between("window_start", q.From, reach))
	case q.From != nil:
		// A session in range may have fragments behind to. One that ended more than the gap
		// before from is no part of a session that begins in range, nor of one that keeps
		// what follows from beginning another.
		least := max(*q.From, -beyond) - p.SessionGap.Milliseconds()
		partials = fmt.Sprintf("(SELECT * FROM %s WHERE %s)", partials, between("session_end", &least, nil))
	}
	merged := "(" + k.Merge(q.View.Partial(), partials) + ")"
	switch q.View {
	case view.RevenueByCountry:
		return "SELECT *, gross_milli + cancelled_milli AS net_milli FROM " + merged
	case view.RollingRevenue:
		return k.rolling(q, merged)
	case view.CustomerSessions:
		return "SELECT * FROM " + merged
	case view.TopProducts:
		return fmt.Sprintf("SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY gross_milli DESC, stock_code) AS rank FROM %s QUALIFY rank <= %d", merged, p.TopK)
	case view.RevenueBySegment:
		return fmt.Sprintf(`SELECT window_start, CASE WHEN w.customer_id = 0 THEN 'guest' WHEN coalesce(c.segment, '') = '' THEN 'unknown' ELSE c.segment END AS segment,
				sum(lines)::BIGINT AS lines, sum(net_milli)::BIGINT AS net_milli
			FROM %s w ASOF LEFT JOIN (%s) c ON w.customer_id = c.customer_id AND w.window_start >= c.valid_from_ms GROUP BY ALL`, merged, k.Merge(view.Profiles, profiles))
	case view.DistinctCustomers:
		return "SELECT window_start, country, count(*) AS customers FROM " + merged + " GROUP BY ALL"
	default:
		return fmt.Sprintf("SELECT * FROM %s WHERE gross_milli >= %d", merged, p.AlertThresholdMilli)
	}
}

// beyond lies, in ms, behind all windows and far from overflow.
const beyond = 1 << 60

// rolling selects sliding sums from panes. A window's sum changes only where a
// pane enters or leaves it, so sums are taken at those points and each holds for
// the windows up to the next: the work grows with the panes and the answer, not
// with size over slide.
func (k Kernel) rolling(q view.Query, panes string) string {
	size, slide := k.Params.HopSize.Milliseconds(), k.Params.HopSlide.Milliseconds()
	first, end := "point", "until"
	if q.From != nil { // the first window at or behind from, on the grid of windows
		first = fmt.Sprintf("point + (greatest(%d - point, 0) + %d) // %d * %d", min(max(*q.From, -beyond), beyond), slide-1, slide, slide)
	}
	if q.To != nil {
		end = fmt.Sprintf("least(until, %d)", *q.To)
	}
	return fmt.Sprintf(`WITH panes AS (SELECT * FROM %[1]s),
		changes AS (SELECT point, country, sum(lines) AS lines, sum(gross_milli) AS gross_milli, sum(net_milli) AS net_milli FROM (
			SELECT window_start - %[2]d + %[3]d AS point, country, lines, gross_milli, net_milli FROM panes
			UNION ALL SELECT window_start + %[3]d, country, -lines, -gross_milli, -net_milli FROM panes) GROUP BY ALL),
		levels AS (SELECT point, lead(point) OVER points AS until, country, sum(lines) OVER points AS lines, sum(gross_milli) OVER points AS gross_milli, sum(net_milli) OVER points AS net_milli
			FROM changes WINDOW points AS (PARTITION BY country ORDER BY point))
		SELECT unnest(range(%[4]s, %[5]s, %[3]d)) AS window_start, country, lines::BIGINT AS lines, gross_milli::BIGINT AS gross_milli, net_milli::BIGINT AS net_milli FROM levels WHERE lines > 0`,
		panes, size, slide, first, end)
}

// Source is what a query runs on: a database or a transaction of it.
type Source interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Scan runs a SELECT with the columns of the schema and calls f for every row.
func Scan(ctx context.Context, db Source, s view.Schema, query string, f func(view.Row)) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("query %s: %w", s.Name, err)
	}
	defer rows.Close()
	var r view.Row
	into := make([]any, len(s.Columns))
	num := 0
	for i, c := range s.Columns {
		if c.Text {
			into[i] = &r.Text
			continue
		}
		into[i] = &r.Num[num]
		num++
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read %s: %w", s.Name, err)
		}
		f(r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", s.Name, err)
	}
	return nil
}

// Collect runs Scan and returns the rows.
func Collect(ctx context.Context, db Source, s view.Schema, query string) ([]view.Row, error) {
	var rows []view.Row
	err := Scan(ctx, db, s, query, func(r view.Row) { rows = append(rows, r) })
	return rows, err
}
