"""What nodes say to each other: frames, records, batches. Pure functions over bytes."""
