"""The one error of this package."""


class ApiError(Exception):
    """The API failed, or answered something other than its records.

    The message is a sentence without credentials. `details` has url, page, status and record as
    far as they are known. `may_pass` says whether a later attempt can succeed.
    """

    def __init__(self, message: str, may_pass: bool = False, **details: str | int | None) -> None:
        super().__init__(message)
        self.may_pass = may_pass
        self.details = {name: value for name, value in details.items() if value is not None}
