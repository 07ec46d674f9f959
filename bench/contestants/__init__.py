"""Who takes part: what each contestant's processes do, a module a contestant."""
