"""What users can do, as functions: the terminal parses and shows, these do."""
