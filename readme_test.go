package understudy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The program in the README is the one that CI builds and runs.
func TestTheReadmeShowsAProgramThatRuns(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	program, err := os.ReadFile("examples/readme/main.go")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "```")
	_, runs, found := strings.Cut(string(program), "package main\n")
	require.True(t, found)
	require.Equal(t, "package main\n"+runs, shown)
}
