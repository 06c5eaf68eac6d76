"""python -m imgindex"""

from imgindex.cli import main

main()
