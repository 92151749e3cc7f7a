"""C99 text of a program, and of the functional mock-up unit around it."""
