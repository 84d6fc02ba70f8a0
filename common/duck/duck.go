package duck

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// Options bound a database.
type Options struct {
	Path        string // file; empty: in memory
	MemoryBytes int64  // 0: DuckDB's default
	Threads     int    // 0: one per processor
	TempDir     string // for what does not fit in memory; empty: no spilling
}

// DB is an open database. Its connections share the options.
type DB struct {
	*sql.DB
	connector *duckdb.Connector
}

// Open opens a database.
func Open(ctx context.Context, o Options) (*DB, error) {
	settings := url.Values{"autoinstall_known_extensions": {"false"}, "autoload_known_extensions": {"false"}, "preserve_insertion_order": {"false"}, "temp_directory": {o.TempDir}}
	if o.MemoryBytes > 0 {
		settings.Set("memory_limit", fmt.Sprintf("%dB", o.MemoryBytes))
	}
	if o.Threads > 0 {
		settings.Set("threads", strconv.Itoa(o.Threads))
	}
	// They are the database's and set once: a connection that comes later could not
	// set a directory again that is in use.
	connector, err := duckdb.NewConnector(o.Path+"?"+settings.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB %q: %w", o.Path, err)
	}
	db := &DB{sql.OpenDB(connector), connector}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open DuckDB %q: %w", o.Path, err), db.Close())
	}
	return db, nil
}

// Close closes the database.
func (d *DB) Close() error { return errors.Join(d.DB.Close(), d.connector.Close()) }

// Do runs a statement; purpose says in an error what it was for.
func (d *DB) Do(ctx context.Context, purpose, statement string) error {
	if _, err := d.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", purpose, err)
	}
	return nil
}

// Append fills a table through DuckDB's appender, which one goroutine may use at a time.
func (d *DB) Append(ctx context.Context, table string, fill func(row func(...driver.Value) error) error) error {
	conn, err := d.connector.Connect(ctx)
	if err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	defer conn.Close()
	a, err := duckdb.NewAppenderFromConn(conn, "", table)
	if err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	if err := errors.Join(fill(a.AppendRow), a.Close()); err != nil {
		return fmt.Errorf("append to %s: %w", table, err)
	}
	return nil
}

// Quote writes a text as a SQL literal.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
