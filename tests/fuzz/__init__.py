"""Coverage-guided fuzzing of everything that reads foreign bytes: `make fuzz`, and cases that `make test` replays."""
