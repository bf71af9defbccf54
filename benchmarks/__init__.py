"""Benchmarks: ratios and differences within one run, never assertions on time."""
