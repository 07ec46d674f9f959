"""``python -m spot`` is the ``spot`` command."""

from spot.cli import main

if __name__ == "__main__":
    main()
