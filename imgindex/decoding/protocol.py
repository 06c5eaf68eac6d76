"""What a decoder and its worker say to each other over their socket.

A request is two lengths and a file; for a look at two files, whose second length is not 0, a transform comes before
both. A reply is a header and a body: square RGB pixels, their digest, the length of the facts, the facts as JSON and
the description of local features; for a look, the relation as JSON; for a picture that cannot be read, the reason as
UTF-8. Before all this the worker says that it has started, and how far it is shut in.
"""

import struct

STARTED = struct.Struct("<??")  # as `sandbox.Sandbox`
REQUEST = struct.Struct("<QQ")  # bytes of the file, and of a second one
TRANSFORM = struct.Struct("<9d")  # 3 x 3, by rows
REPLY = struct.Struct("<BBIIQ")  # readable, worn out, width, height, bytes that follow
FACTS = struct.Struct("<I")  # bytes of the facts
SHUT_OUT = 76  # exit code of a worker that its sandbox keeps from decoding
LACKING = 75  # exit code (EX_TEMPFAIL) of a worker that got no memory or room, which tells nothing about the picture
DIGEST = 32  # bytes
