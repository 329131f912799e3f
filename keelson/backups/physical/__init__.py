"""Backups of whole servers, from which one is brought to any moment: files, and the log since, in a repository of their own.

`archiving` says what a server is told, `engine` what a program for this has to be able to do, `pgbackrest` is the one that does it;
`repository` knows where all of it lies, `recovering` makes a server of it. Where the programs run says a `Workplace`.
"""
