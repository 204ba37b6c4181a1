"""Which fonts there are, what each covers, and how to get more."""
