"""Where the relay keeps what it was given: one small interface, one implementation a file."""
