"""Lists in pages: a cursor stays right while rows come and go, at any depth at the same cost."""

from typing import Any

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

LARGEST_PAGE = 200
INVALID_CURSOR = {"cursor": ["It is not one of the cursors of this list."]}


class CursorPages(CursorPagination):
    """DRF's cursor pagination, which refuses what DRF would silently replace or trip over."""

    page_size = 50
    max_page_size = LARGEST_PAGE
    page_size_query_param = "page_size"
    page_size_query_description = f"Results per page, 1 to {LARGEST_PAGE}."
    cursor_query_description = "From the links `next` and `previous` of an earlier page."
    template = None

    def get_page_size(self, request: Request) -> int:
        """Read the page's size. Raises ValidationError."""
        raw = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if not (raw.isascii() and raw.isdigit() and 1 <= int(raw[:9]) <= LARGEST_PAGE):
            raise ValidationError({"page_size": [self.page_size_query_description]})
        return int(raw)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Read the cursor. Raises ValidationError."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise ValidationError(INVALID_CURSOR) from error
        # A string, whatever the stubs say.
        if cursor and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise ValidationError(INVALID_CURSOR)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether a cursor's position can be compared with the rows'."""
        return bool(text)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters, with the limits of ``page_size``."""
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                limits = {"minimum": 1, "maximum": LARGEST_PAGE, "default": self.page_size}
                parameter["schema"] = {"type": "integer", **limits}
        return parameters


class NewestFirst(CursorPages):
    """Rows with ``created_at``, newest first."""

    ordering = ("-created_at", "-id")

    def is_position(self, text: str) -> bool:
        """Whether it is a time."""
        try:
            moment = parse_datetime(text)
        except ValueError:
            return False
        return moment is not None and moment.tzinfo is not None


class ByName(CursorPages):
    """Rows with a unique ``name``, in its order."""

    ordering = ("name",)

    def is_position(self, text: str) -> bool:
        """Whether it can be a name."""
        return bool(text) and "\0" not in text
