package schema

import (
	"bytes"
	_ "embed"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed result.schema.json
var text []byte

// Validate holds a result against the schema.
func Validate(content []byte) error {
	s, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("result.schema.json", s); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	compiled, err := c.Compile("result.schema.json")
	if err != nil {
		return fmt.Errorf("compile the schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return compiled.Validate(doc)
}
