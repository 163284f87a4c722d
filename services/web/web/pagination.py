"""Lists in pages. Cursors stay right while rows come and go, and a deep page costs no more."""

from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field, Q, QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

LARGEST_PAGE = 200
LONGEST_KEY = 40  # characters: of a UUID, or of a number that PostgreSQL holds
INVALID_CURSOR = {"cursor": ["It is not one of the cursors of this list."]}


class CursorPages(CursorPagination):
    """DRF's cursor pagination, which refuses parameters that DRF would replace or fail on."""

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
        # The position is a string, although the stubs say otherwise.
        if cursor and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise ValidationError(INVALID_CURSOR)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether PostgreSQL can compare a cursor's position with the rows'."""
        return bool(text)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the parameters, with the limits of ``page_size``."""
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            if parameter["name"] == self.page_size_query_param:
                limits = {"minimum": 1, "maximum": LARGEST_PAGE, "default": self.page_size}
                parameter["schema"] = {"type": "integer", **limits}
        return parameters


@dataclass(frozen=True)
class Edge:
    """A row after which a page begins, or before which it ends if it is read ``backwards``.

    Two rows may have the same time, so the key is a part of it.
    """

    created_at: datetime
    pk: Any
    backwards: bool

    @classmethod
    def decode(cls, cursor: str, key: "Field[Any, Any]") -> "Edge":
        """Read a cursor. Raises ValueError, and Django's ValidationError from the key."""
        direction, time, pk = b64decode(cursor, altchars=b"-_", validate=True).decode().split(" ")
        if direction not in "np" or len(pk) > LONGEST_KEY:
            raise ValueError
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise ValueError
        # A time near the ends of the calendar may not exist in UTC; that is an OverflowError.
        return cls(moment.astimezone(UTC), key.to_python(pk), backwards=direction == "p")

    def encode(self) -> str:
        """Make the cursor."""
        direction = "p" if self.backwards else "n"
        text = f"{direction} {self.created_at.astimezone(UTC).isoformat()} {self.pk}"
        return urlsafe_b64encode(text.encode()).decode()

    @property
    def beyond(self) -> Q:
        """Rows beyond the edge. The first condition lets PostgreSQL use the index."""
        if self.backwards:
            near, same = Q(created_at__gt=self.created_at), Q(pk__gt=self.pk)
            return Q(created_at__gte=self.created_at) & (near | same)
        near, same = Q(created_at__lt=self.created_at), Q(pk__lt=self.pk)
        return Q(created_at__lte=self.created_at) & (near | same)


class NewestFirst(CursorPages):
    """Rows with ``created_at``, newest first; at the same time the greater key comes first."""

    ordering = ("-created_at", "-pk")

    def paginate_queryset(  # type: ignore[override] # of rows that can be filtered
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        """Read a page. Raises ValidationError for a cursor that is not valid."""
        self.base_url = request.build_absolute_uri()
        self.page_size = self.get_page_size(request)
        self._edge = self._asked_for(request, queryset)
        backwards = self._edge is not None and self._edge.backwards
        rows = (
            queryset.order_by("created_at", "pk")
            if backwards
            else queryset.order_by(*self.ordering)
        )
        if self._edge:
            rows = rows.filter(self._edge.beyond)
        found = list(rows[: self.page_size + 1])
        more = len(found) > self.page_size
        self.page = found[: self.page_size]
        if backwards:
            self.page.reverse()
        self.has_next = backwards or more
        self.has_previous = more if backwards else self._edge is not None
        return self.page

    def get_next_link(self) -> str | None:
        """Return the address of the next page, if there is one."""
        return self._link(-1, backwards=False) if self.has_next else None

    def get_previous_link(self) -> str | None:
        """Return the address of the page before, if there is one."""
        return self._link(0, backwards=True) if self.has_previous else None

    def _link(self, index: int, *, backwards: bool) -> str:
        if self.page:
            row = self.page[index]
            edge = Edge(row.created_at, row.pk, backwards)
        else:  # the page's rows are gone: lead back to where the client came from
            edge = replace(cast("Edge", self._edge), backwards=backwards)
        return replace_query_param(
            cast("str", self.base_url), self.cursor_query_param, edge.encode()
        )

    def _asked_for(self, request: Request, queryset: QuerySet[Any]) -> Edge | None:
        cursor = request.query_params.get(self.cursor_query_param)
        if not cursor:
            return None
        try:
            return Edge.decode(cursor, queryset.model._meta.pk)
        except (ValueError, OverflowError, DjangoValidationError) as error:
            raise ValidationError(INVALID_CURSOR) from error


class ByName(CursorPages):
    """Rows with a unique ``name``, in its order."""

    ordering = ("name",)

    def is_position(self, text: str) -> bool:
        """Whether the position can be a name."""
        return bool(text) and "\0" not in text
