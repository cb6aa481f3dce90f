package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad: whatever the files and variables hold, there is a File or there are
// Mistakes, every mistake has words, no secret is told, and what is good can be
// shown and loaded again.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/mistakes/*.yaml")
	for _, file := range append(files, "testdata/design.yaml", "example.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "node: {name: b}", "SERVICES__ORDERS__ENDPOINTS__0__URL", "http://x")
	}
	f.Add("services: &s {a: {<<: *s}}", "{}", "NODE", "{name: b}")
	f.Add("a: &a [*a]", "services: [", "__", "*")
	f.Fuzz(func(t *testing.T, first, second, name, value string) {
		env := []string{envPrefix + name + "=" + value, "NATS_URL=" + value, "ORDERS_API_KEY=" + canary, "NATS_TOKEN=" + canary}
		file, err := load([]source{{name: "1.yaml", text: []byte(first)}, {name: "2.yaml", text: []byte(second)}}, env)
		if (file == nil) == (err == nil) {
			t.Fatalf("neither a file nor an error: %v, %v", file, err)
		}
		if strings.Contains(told(file, err), canary) && !strings.Contains(first+second+name+value, canary) {
			t.Fatalf("a secret was told: %s", told(file, err))
		}
		if err != nil {
			for _, m := range err.(Mistakes) {
				if m.Words == "" || m.File == "" {
					t.Fatalf("a mistake says nothing: %#v", m)
				}
			}
			return
		}
		file.WithDefaults()
	})
}
