"""What the API answers with, described; the answers are made by `imgindex.rendering.exports`, which is faster than dumping.

A schema that is part of another has a name of its own where it is an answer alone, or OpenAPI would list it twice.
"""
