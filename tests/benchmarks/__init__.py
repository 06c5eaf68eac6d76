"""What imgindex claims, measured: `make bench`, or `python -m tests.benchmarks NAME ...`."""
