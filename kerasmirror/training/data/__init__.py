"""Data adapters: arrays, generators and datasets become batches of (x, y, sample_weight)."""
