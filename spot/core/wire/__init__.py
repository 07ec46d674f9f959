"""The wire format of nodes: frames, records, batches. Pure functions over bytes."""
