"""`python -m orcli` is the same command."""

from orcli.cli import main

if __name__ == "__main__":
    main()
