"""What is trained, and one training with its evaluation."""
