"""What the server raises beside the errors of the library."""

from imgindex import ImgindexError


class OverloadedError(ImgindexError):
    """More is waiting than the server holds, or it is shutting down; `retry_after` is in seconds."""

    def __init__(self, retry_after: int, why: str) -> None:
        super().__init__(f"{why}; try again in {retry_after} s.")
        self.retry_after = retry_after
