"""``python -m marsnb``."""

from marsnb.cli import main

main()
