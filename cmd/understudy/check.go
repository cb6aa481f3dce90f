package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/config"
)

// checked is the result of check for programs.
type checked struct {
	Services  int       `json:"services"`
	Endpoints int       `json:"endpoints"`
	Mistakes  []mistake `json:"mistakes"`
	Warnings  []mistake `json:"warnings"`
}

type mistake struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Key    string `json:"key,omitempty"`
	Words  string `json:"words"`
	Hint   string `json:"hint,omitempty"`
}

func mistakesOf(list []config.Mistake) []mistake {
	out := make([]mistake, len(list))
	for i, m := range list {
		out[i] = mistake(m)
	}
	return out
}

func checkCommand(g *globals) *cobra.Command {
	var show bool
	var files []string
	c := &cobra.Command{
		Use:   "check FILE…",
		Short: "Find every mistake in configuration files",
		Long: `Find every mistake in configuration files, all at once, each with its file, line,
column and key. Several files are one configuration, each laid over the one before,
with the environment upon them, exactly as serve reads them.

Mistakes go to standard error and the exit status is then 3. Warnings are what is
allowed and probably not meant; they change no exit status.`,
		Example: `  understudy check understudy.yaml
  understudy check base.yaml prod.yaml
  understudy check --show understudy.yaml    # with defaults filled in, secrets left out`,
		Args: func(c *cobra.Command, given []string) error {
			if len(given)+len(files) == 0 {
				return usagef("%s needs a file; see %s --help", c.CommandPath(), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, given []string) error {
			return g.check(c, append(files, given...), show)
		},
	}
	c.Flags().BoolVar(&show, "show", false, "print the configuration as it would be in force, secrets left out")
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "a `file`, as serve takes it")
	return c
}

func (g *globals) check(c *cobra.Command, files []string, show bool) error {
	if show && g.output == "json" {
		return usagef("--show prints YAML, not -o json")
	}
	f, err := config.Load(files, os.Environ())
	var mistakes config.Mistakes
	if err != nil && !errors.As(err, &mistakes) {
		return err
	}
	var warnings []config.Mistake
	out := checked{Mistakes: mistakesOf(mistakes)}
	if f != nil {
		warnings = f.Warnings
		out.Services = len(f.Services)
		for _, s := range f.Services {
			out.Endpoints += len(s.Endpoints)
		}
	}
	out.Warnings = mistakesOf(warnings)
	stdout, stderr := c.OutOrStdout(), c.ErrOrStderr()
	for _, m := range mistakes {
		fmt.Fprintln(stderr, m)
	}
	for _, w := range warnings {
		fmt.Fprintln(stderr, w.String()+" (warning)")
	}
	if show && err == nil {
		_, err := io.WriteString(stdout, f.Redacted())
		return err
	}
	printed := g.print(stdout, out, func(w io.Writer) error {
		if err != nil {
			return nil
		}
		_, err := fmt.Fprintf(w, "ok: %s, %s\n", plural(out.Services, "service"), plural(out.Endpoints, "endpoint"))
		return err
	})
	if err != nil {
		return statusError{errors.New(plural(len(mistakes), "mistake")), exitConfig}
	}
	return printed
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
