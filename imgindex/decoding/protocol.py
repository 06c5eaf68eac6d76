"""What a decoder and its worker say to each other over their socket.

A request is the length of a file and the file. A reply is a header and a body: square RGB pixels, their digest and the
description of local features; or, for a picture that cannot be read, the reason as UTF-8. One reply without a body
comes first and says that the worker has started.
"""

import struct

REQUEST = struct.Struct("<Q")  # bytes that follow
REPLY = struct.Struct("<BBIIQ")  # readable, worn out, width, height, bytes that follow
DIGEST = 32  # bytes
