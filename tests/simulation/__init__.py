"""The service, its verifiers and its people in worlds whose time and faults come out of a seed: docs/simulation.md."""
