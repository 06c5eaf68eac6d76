"""What the API answers with, described; `imgindex.rendering.exports` makes the answers, faster than marshmallow.

The schemathesis test holds both together.

A schema that is part of another has a second name where it is an answer by itself, or OpenAPI would list it twice.
"""
