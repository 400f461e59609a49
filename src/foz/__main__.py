"""`python -m foz`, and the installed command."""

from foz.cli.main import main

if __name__ == "__main__":
    main()
