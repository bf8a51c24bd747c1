// conf: the squid-like configuration file, read into one typed value.
//
// holds          the grammar (lines, macros, if, include, quoting), units, the table of all directives and what comes
//                from it: parser, defaults, documentation; the linter
// does not hold  what an ACL value, a log code or a regex means (acl, log and cache compile those), nor any effect
// called by      cli
// calls          base

export type * from './config.ts'
