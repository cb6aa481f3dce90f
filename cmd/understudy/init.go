package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/understudy-go/understudy/config"
)

const configFile = "understudy.yaml"

func initCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a configuration file to start from",
		Long: `Write a configuration file to start from, with the defaults in comments.

FILE is understudy.yaml unless given; "-" prints it. A file that is there is not
overwritten without --force.`,
		Example: "  understudy init\n  understudy init - | less",
		Args:    args(cobra.MaximumNArgs(1), "one file at most"),
		RunE: func(c *cobra.Command, given []string) error {
			path := configFile
			if len(given) == 1 {
				path = given[0]
			}
			if path == "-" {
				_, err := c.OutOrStdout().Write(config.Example())
				return err
			}
			if err := create(path, config.Example(), force); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "wrote %s; next: understudy serve -c %s\n", path, path)
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return c
}

func create(path string, text []byte, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: --force overwrites it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
