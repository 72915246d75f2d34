"""What trains every method alike: options, data, loop, optimisers and checkpoints."""
