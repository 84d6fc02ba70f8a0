package unified

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/batch"
	"archbench/common/coverage"
	"archbench/common/duck"
	"archbench/common/durable"
	"archbench/common/view"
	"archbench/unified/lake"
)

// Namespaces of the lake. Gold has one for each generation.
const (
	bronze = "bronze"
	silver = "silver"
)

func gold(generation int) string { return fmt.Sprintf("gold_%d", generation) }

// Columns of bronze: the record as received and, beside it, the verdict and what
// was decoded.
const (
	bronzeOrderColumns = `partition INTEGER, "offset" BIGINT, value BLOB, unusable VARCHAR, event_id VARCHAR, order_id VARCHAR, line BIGINT, kind INTEGER, customer_id BIGINT, country VARCHAR, ` +
		`stock_code VARCHAR, quantity BIGINT, unit_price_milli BIGINT, event_time_ms BIGINT, emitted_us BIGINT, channel VARCHAR`
	bronzeCustomerColumns = `partition INTEGER, "offset" BIGINT, value BLOB, unusable VARCHAR, customer_id BIGINT, segment VARCHAR, valid_from_ms BIGINT, emitted_us BIGINT`
)

// lineColumns are those of silver's lines. Iceberg has no integer below 32 bits.
var lineColumns = strings.Replace(batch.LineColumns, "TINYINT", "INTEGER", 1)

// tableOf is a table of the lake with its definition.
type tableOf struct{ namespace, name, columns string }

func (t tableOf) isGold() bool { return t.namespace != bronze && t.namespace != silver }

// tables lists those that a generation of gold is published with.
func tables(generation int) []tableOf {
	ts := []tableOf{
		{bronze, "orders", bronzeOrderColumns}, {bronze, "customers", bronzeCustomerColumns},
		{silver, "lines", lineColumns}, {silver, "changes", batch.ChangeColumns},
	}
	return append(ts, goldTables(generation)...)
}

func goldTables(generation int) []tableOf {
	var ts []tableOf
	for _, kind := range view.Partials() {
		ts = append(ts, tableOf{gold(generation), string(kind), definition(kind)})
	}
	return ts
}

// definition is a partial's schema as a table definition.
func definition(kind view.Partial) string {
	var cs []string
	for _, c := range kind.Schema().Columns {
		if c.Text {
			cs = append(cs, c.Name+" VARCHAR")
		} else {
			cs = append(cs, `"`+c.Name+`" BIGINT`)
		}
	}
	return strings.Join(cs, ", ")
}

// published is the durable record of what is served. A set of table commits
// counts from the moment that it names them.
type published struct {
	Generation int               `json:"generation"`
	Rules      view.Rules        `json:"rules"`
	Want       view.Rules        `json:"want,omitempty"` // rules asked for and not yet served
	Coverage   coverage.Coverage `json:"coverage"`
	// Holds is how far the records in the tables reach. It is beyond the coverage only
	// after a crash under at-least-once, until these records were read again.
	Holds       coverage.Coverage    `json:"holds"`
	Snapshots   map[string]lake.Mark `json:"snapshots"` // by namespace.table
	Lines       int64                `json:"lines"`     // in silver
	Duplicate   int64                `json:"duplicate"`
	Conflicting int64                `json:"conflicting"`
	Unusable    int64                `json:"unusable"`
	// Reigns are the rules that were served, and from where on.
	Reigns []architecture.Reign `json:"reigns"`
	// Alerts are those that were not acknowledged when the record was made.
	Alerts []alerts.Alert `json:"alerts,omitempty"`
}

const (
	publishedName    = "published"
	publishedVersion = 4
)

// current is what is published now.
func (u *Unified) current() published {
	u.serving.RLock()
	defer u.serving.RUnlock()
	return u.state
}

func (u *Unified) loadPublished() (published, error) {
	nothing := coverage.Zero(u.dir.Partitions)
	p := published{Generation: 1, Rules: u.c.Rules, Coverage: nothing, Holds: nothing, Snapshots: map[string]lake.Mark{}, Reigns: architecture.FirstReign(u.c.Rules, u.dir.Partitions)}
	path := filepath.Join(u.c.Dir, publishedName)
	content, err := durable.Load(path, publishedName, publishedVersion)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return p, err
	default:
		if err := json.Unmarshal(content, &p); err != nil {
			return p, &durable.Damaged{Path: path, Reason: "cannot be read: " + err.Error()}
		}
	}
	if u.c.Guarantee == architecture.EffectivelyOnce {
		return p, nil
	}
	p.Coverage, err = u.dir.Offsets(p.Holds)
	if err == nil && !p.Coverage.Equal(p.Holds) {
		u.c.Logger.Warn("a crash came between the commits of state and offsets", "guarantee", u.c.Guarantee, "state", p.Holds, "offsets", p.Coverage)
	}
	return p, err
}

func (u *Unified) savePublished(p published) error {
	content, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode what is published: %w", err)
	}
	return durable.Save(filepath.Join(u.c.Dir, publishedName), publishedName, publishedVersion, content)
}

// snapshots marks the current ones of the tables that a generation is published with.
func (u *Unified) snapshots(generation int) (map[string]lake.Mark, error) {
	marks := map[string]lake.Mark{}
	for _, t := range tables(generation) {
		m, err := u.lake.Mark(t.namespace, t.name)
		if err != nil {
			return nil, err
		}
		marks[t.namespace+"."+t.name] = m
	}
	return marks, nil
}

// takeBack makes every table what was published, and drops other generations.
func (u *Unified) takeBack(ctx context.Context) error {
	namespaces, err := u.lake.Namespaces(ctx, "gold_")
	if err != nil {
		return err
	}
	for _, n := range namespaces {
		if n != gold(u.state.Generation) {
			if err := u.dropGold(ctx, n); err != nil {
				return err
			}
		}
	}
	for _, t := range tables(u.state.Generation) {
		columns := lake.Columns(t.columns)
		if err := u.lake.Ensure(ctx, t.namespace, t.name, columns); err != nil {
			return err
		}
		if err := u.lake.TakeBack(ctx, t.namespace, t.name, u.state.Snapshots[t.namespace+"."+t.name], columns); err != nil {
			return err
		}
	}
	return nil
}

func (u *Unified) dropGold(ctx context.Context, namespace string) error {
	for _, kind := range view.Partials() {
		if err := u.lake.Drop(ctx, namespace, string(kind)); err != nil {
			return err
		}
	}
	return nil
}

// served is the table of a partial that answers read: the published gold, in memory.
func served(generation int, kind view.Partial) string {
	return fmt.Sprintf("served_%d_%s", generation, kind)
}

// loadGold makes the tables that answers read from a generation's files.
func (u *Unified) loadGold(ctx context.Context, generation int) error {
	for _, kind := range view.Partials() {
		files := u.lake.Files(gold(generation), string(kind))
		name := served(generation, kind)
		if err := u.db.Do(ctx, "make "+name, fmt.Sprintf("CREATE OR REPLACE TABLE %s (%s)", name, definition(kind))); err != nil {
			return err
		}
		if len(files) == 0 {
			continue
		}
		if err := u.db.Do(ctx, "load "+name, fmt.Sprintf("INSERT INTO %s BY NAME SELECT * FROM %s", name, readParquet(files))); err != nil {
			return err
		}
	}
	return nil
}

func readParquet(files []lake.File) string {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = duck.Quote(f.Path)
	}
	return "read_parquet([" + strings.Join(quoted, ", ") + "])"
}
