"""`python -m mien`: the `mien` command."""

from mien.cli.main import main

if __name__ == "__main__":
    main()
