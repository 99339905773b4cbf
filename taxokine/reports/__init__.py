"""Terminal reports: what each command prints when it is done."""
