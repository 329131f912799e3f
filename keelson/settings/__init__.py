"""Settings: typed, read once, refused as a whole when one key is wrong."""
