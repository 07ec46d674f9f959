"""The contestants: what the processes of each one do, one module for each contestant."""
