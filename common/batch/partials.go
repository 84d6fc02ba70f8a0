package batch

import (
	"fmt"
	"strings"
	"time"

	"archbench/common/duck"
	"archbench/common/event"
	"archbench/common/view"
)

// Kernel writes the SQL for one set of parameters and one version of the rules.
// Its arguments are table expressions: a name or a SELECT in parentheses.
type Kernel struct {
	Params view.Params
	Rules  view.Rules
}

// LineColumns is the relation of lines, usable ones only, as a table definition.
const LineColumns = `partition INTEGER, "offset" BIGINT, event_id VARCHAR, kind TINYINT, customer_id BIGINT, country VARCHAR, ` +
	`stock_code VARCHAR, quantity BIGINT, unit_price_milli BIGINT, event_time_ms BIGINT`

// ChangeColumns is the relation of profile changes; segment is empty for a deletion.
const ChangeColumns = `partition INTEGER, "offset" BIGINT, customer_id BIGINT, segment VARCHAR, valid_from_ms BIGINT`

// Distinct selects the first line of each id in its partition. Few ids come again, so
// the lines are compared with those few alone.
func (k Kernel) Distinct(lines string) string {
	return fmt.Sprintf(`SELECT l.* FROM %[1]s l ANTI JOIN (SELECT partition, event_id, min("offset") AS first FROM %[1]s GROUP BY ALL HAVING count(*) > 1) r `+
		`ON l.partition = r.partition AND l.event_id = r.event_id AND l."offset" > r.first`, lines)
}

// Counted selects, of distinct lines, what the views need of those that the rules let
// count.
func (k Kernel) Counted(distinct string) string {
	logic, code := k.Rules.Logic(), "stock_code"
	if logic.FoldCode {
		// upper() would fold more than ASCII; translate() takes 2 µs.
		code = `CASE WHEN strlen(stock_code) = length(stock_code) THEN upper(stock_code) ELSE translate(stock_code, 'abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') END`
	}
	where := []string{"true"}
	if len(logic.ExcludedCodes) > 0 {
		var quoted []string
		for _, c := range logic.ExcludedCodes {
			quoted = append(quoted, duck.Quote(c))
		}
		where = append(where, "code NOT IN ("+strings.Join(quoted, ", ")+")")
	}
	for _, p := range logic.ExcludedPrefixes {
		where = append(where, "NOT starts_with(code, "+duck.Quote(p)+")")
	}
	return fmt.Sprintf(`SELECT * FROM (
		SELECT %s AS code, partition, "offset", kind, customer_id, country, quantity, event_time_ms,
			CASE WHEN kind = %d THEN quantity * unit_price_milli ELSE 0 END AS gross,
			CASE WHEN kind = %d THEN quantity * unit_price_milli ELSE 0 END AS cancelled
		FROM %s) WHERE %s`, code, event.Sale, event.Cancellation, distinct, strings.Join(where, " AND "))
}

// slot is the start of the window that holds a line, floored for times before 1970 too.
func slot(size time.Duration) string {
	ms := size.Milliseconds()
	return fmt.Sprintf("event_time_ms - ((event_time_ms %% %[1]d) + %[1]d) %% %[1]d", ms)
}

// Partial selects the rows of a partial over lines that count, as Counted selects
// them, or over profile changes for view.Profiles, with the columns of its schema.
func (k Kernel) Partial(kind view.Partial, input string) string {
	p := k.Params
	sums := func(key string, size time.Duration, where, measures string) string {
		return fmt.Sprintf("SELECT %s AS window_start, %s, %s FROM %s WHERE %s GROUP BY ALL", slot(size), key, measures, input, where)
	}
	sum := func(of, as string) string { return fmt.Sprintf("sum(%s)::BIGINT AS %s", of, as) }
	sale, known := fmt.Sprintf("kind = %d", event.Sale), "customer_id <> 0"
	lines, units, gross, net := "count(*) AS lines", sum("quantity", "units"), sum("gross", "gross_milli"), sum("gross + cancelled", "net_milli")
	switch kind {
	case view.CountryWindows:
		return sums("country", p.Tumbling, "true", lines+", "+units+", "+gross+", "+sum("cancelled", "cancelled_milli"))
	case view.CountryPanes:
		return sums("country", p.HopSlide, "true", lines+", "+gross+", "+net)
	case view.ProductWindows:
		return sums("code AS stock_code", p.Top, sale, units+", "+gross)
	case view.CustomerWindows:
		return sums("customer_id", p.Segment, "true", lines+", "+net)
	case view.SpendWindows:
		return sums("customer_id", p.Alert, sale+" AND "+known, gross)
	case view.CustomerSets:
		return fmt.Sprintf("SELECT DISTINCT %s AS window_start, country, customer_id FROM %s WHERE %s", slot(p.Distinct), input, known)
	case view.SessionFragments:
		// Lines of one customer in one slot as long as the gap are of one session.
		return k.Merge(kind, fmt.Sprintf("(SELECT customer_id, min(event_time_ms) AS session_start, max(event_time_ms) AS session_end, %s, %s FROM %s WHERE %s GROUP BY customer_id, %s)",
			lines, net, input, known, slot(p.SessionGap)))
	default:
		return latestChanges(input)
	}
}

func latestChanges(changes string) string {
	return fmt.Sprintf(`SELECT customer_id, valid_from_ms, max("offset") AS "offset", arg_max(segment, "offset") AS segment FROM %s GROUP BY customer_id, valid_from_ms`, changes)
}

// Merge selects the partial with rows of equal keys merged into one.
func (k Kernel) Merge(kind view.Partial, partials string) string {
	switch kind {
	case view.Profiles:
		return latestChanges(partials)
	case view.CustomerSets:
		return "SELECT DISTINCT window_start, country, customer_id FROM " + partials
	case view.SessionFragments:
		// A fragment begins a session where it starts more than the gap after the
		// latest end of all that start before it. Of equal fragments one begins it;
		// the outer order puts that one first, since the two sorts may differ on ties.
		return fmt.Sprintf(`SELECT customer_id, min(session_start) AS session_start, max(session_end) AS session_end, sum(lines)::BIGINT AS lines, sum(net_milli)::BIGINT AS net_milli FROM (
			SELECT *, sum(begins) OVER (PARTITION BY customer_id ORDER BY session_start, session_end, begins DESC ROWS UNBOUNDED PRECEDING) AS session FROM (
				SELECT *, CASE WHEN session_start - max(session_end) OVER (PARTITION BY customer_id ORDER BY session_start, session_end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) <= %d THEN 0 ELSE 1 END AS begins
				FROM %s))
			GROUP BY customer_id, session`, k.Params.SessionGap.Milliseconds(), partials)
	}
	schema := kind.Schema()
	var keys, measures []string
	for i, c := range schema.Columns {
		if i < schema.Keys {
			keys = append(keys, c.Name)
		} else {
			measures = append(measures, fmt.Sprintf("sum(%[1]s)::BIGINT AS %[1]s", c.Name))
		}
	}
	return fmt.Sprintf("SELECT %s, %s FROM %s GROUP BY ALL", strings.Join(keys, ", "), strings.Join(measures, ", "), partials)
}
