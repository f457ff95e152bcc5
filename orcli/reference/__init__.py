"""What is said about the command line, all of it from the command tree: help, man pages, completions, README."""
