"""The two programs: argv to command to text."""
