"""`python -m romflow` is the command `romflow`."""

from romflow.cli import main

if __name__ == "__main__":
    main()
