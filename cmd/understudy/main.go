// Command understudy runs a node, talks to running ones, and shows what
// Understudy is for. Each subcommand has a file of its own.
//
// Results go to standard output, everything else to standard error. Exit status:
// 0 ok, 1 failed, 2 usage, 3 invalid configuration, 4 NATS unreachable, 5
// timeout, 6 unavailable.
package main

import "os"

// version is set by the linker: -X main.version=v1.2.3.
var version string

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
