"""``python -m kafkasim``: the same as the ``kafkasim`` command."""

from kafkasim.cli import main

if __name__ == "__main__":
    main()
