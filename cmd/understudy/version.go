package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what there is to know of this binary.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Time    string `json:"time,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// buildInfo prefers what the linker was told to what the toolchain wrote.
func buildInfo() build {
	b := build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		dirty := ""
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				b.Time = s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = "-dirty"
				}
			}
		}
		if b.Commit != "" {
			b.Commit += dirty
		}
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	return b
}

func versionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the version of this binary, the commit it was built from and the Go version.",
		Example: "  understudy version\n  understudy version -o json",
		Args:    none(),
		RunE: func(c *cobra.Command, _ []string) error {
			b := buildInfo()
			return g.print(c.OutOrStdout(), b, func(w io.Writer) error {
				commit := ""
				if b.Commit != "" {
					commit = "commit " + b.Commit + ", "
				}
				_, err := fmt.Fprintf(w, "understudy %s (%s%s, %s/%s)\n", b.Version, commit, b.Go, b.OS, b.Arch)
				return err
			})
		},
	}
}
