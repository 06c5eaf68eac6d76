"""python -m imgindex"""

from imgindex.cli.app import main

main()
