"""What the API answers with, described; `imgindex.rendering.exports` makes the answers, faster than dumping.

A schema that is part of another has a name of its own where it is an answer alone, or OpenAPI would list it twice.
"""
