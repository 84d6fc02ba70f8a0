// Package schema holds the JSON Schema of result.json.
//
// It imports none of the project's packages. Its invariant: the schema is the
// contract with readers of results; a field that it does not name is an error.
package schema
