"""Side-by-side benchmarks, one command: `make bench`."""
