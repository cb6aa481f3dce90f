package main

import (
	"encoding/json"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"
)

// print writes a result: as table does, or the value as JSON or YAML.
func (g *globals) print(w io.Writer, value any, table func(io.Writer) error) error {
	if g.output == "table" {
		return table(w)
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	if g.output == "yaml" {
		// By way of JSON, so that both formats have the same keys.
		var plain any
		if err := yaml.Unmarshal(text, &plain); err != nil {
			return err
		}
		if text, err = yaml.Dump(plain, yaml.WithV4Defaults()); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
