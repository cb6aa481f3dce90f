// Package house holds the rules of the house as tests: what CONTRIBUTING asks
// of every source file, checked on the syntax trees of the whole repository.
//
//   - Imports point downward only: messages ← cores ← actors ← cluster ← config ←
//     root ← internal ← cmd. Messages uses the standard library alone, the
//     embedded NATS server has one importer, an example imports stable API only,
//     and whoever imports the root links no server and no command line.
//   - A core has no clock, no chance, no goroutine, no lock and no I/O.
//   - Nothing sleeps and no test is skipped.
//   - A library touches no global.
//   - Every package says in doc.go what it is.
//   - Files stay short, no note of unfinished work stays in one, and every example
//     is a program.
//
// A package under actors/ is a core unless [shells] names it. To add a rule,
// write a function of type [rule], list it in [rules], and put into
// testdata/house a file that breaks it: there, files are named *.go.txt, lie where
// they would lie in the repository, and say in a comment `// want "…"` what must be
// found on their line. A line without one must pass.
package house
