"""What orcli costs beside its peers, measured in one run on one machine; `python -m tests.benchmarks` prints it."""
