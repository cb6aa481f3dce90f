// Package config is the file: what a node can be told, how it is read, what is
// wrong with it, and when it changed.
//
// It composes the Config struct of each package into [File] and knows their keys
// by reflection on the yaml tags; a new key of a package is a new key of the file.
// What the types cannot say, other names and shorthands, is in keys.go.
//
// [Load] goes this way:
//
//	each file: text ─parse─▶ tree ─shape─▶ tree of known keys     tree.go parse.go expand.go shape.go
//	NATS_* ◁ file ◁ file ◁ UNDERSTUDY_CFG__* ─overlay─▶ one tree   tree.go env.go
//	defaults ─inherit─▶ every service                              load.go
//	tree ─decode─▶ File ─check─▶ mistakes and warnings             decode.go owner.go check.go warn.go contradict.go
//
// Every step leaves its mistakes behind and goes on, so that all are reported at
// once, each with its line: see [Mistakes]. Values stay text until the last step,
// because only the type of a key says what "off" or "50%" is, and because a key
// that is not given must not look like one that is zero.
//
// # Layers
//
// Later wins: NATS_* variables, then the files in their order, then
// UNDERSTUDY_CFG__* variables. Tables merge key by key, lists and single values
// replace. An empty value (key:, or ~) takes a key back to its default. What
// excludes the other displaces it: a layer with nats.url drops an embedded server
// beneath it. One value in place of a block (hedge: 50ms) replaces the block.
//
// # Variables
//
// ${VAR} and ${VAR:-default} stand inside values, never in keys; $${ is ${ itself.
// What comes in cannot become YAML and is never shown. UNDERSTUDY_CFG__A__B sets
// a.b: keys in any case, "_" for what no variable's name can hold (service
// orders-api is ORDERS_API), an index for an item of a list. A single value is
// taken as it is; a table or a list is written as YAML. Empty takes the key back
// to its default.
//
// NATS_URL, NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY, NATS_CA,
// NATS_CERT and NATS_KEY are those of the nats command. They lie beneath the
// files, so a file's key wins, a file with other credentials displaces theirs, and
// one with an embedded server all of them.
//
// # Values
//
// Durations are Go's (1.5s); a number without unit is a mistake, and so is a zero
// where zero means the default. off, none and false turn a number or a duration
// off, if it can be off. Ratios are 50% or 0.5. Sizes in bytes may have a unit
// (64MiB). Paths of certificates and credentials are relative to the file that
// names them.
//
// # Secrets
//
// No mistake, no warning and no [File.Redacted] holds a value of a key named like
// a credential, of a header, of the user part of a URL, or of a ${VAR}.
//
// docs/configuration.md is the reference of all keys; tests hold it to the code.
//
// Stability: not stable API; see the root package.
package config
