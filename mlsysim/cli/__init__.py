"""The command line. It imports the rest lazily; nothing imports it."""
