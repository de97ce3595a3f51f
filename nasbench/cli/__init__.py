"""The command line: one file a command. The only part that prints and exits."""
