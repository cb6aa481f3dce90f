package config

import _ "embed"

//go:embed example.yaml
var example []byte

// Example is a file to start from, with comments: what "understudy init" writes.
// It loads without a mistake and without a warning.
func Example() []byte { return append([]byte(nil), example...) }
