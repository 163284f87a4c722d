"""The API of mails."""

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import viewsets
from rest_framework.serializers import BaseSerializer

from web.mail.models import Email
from web.mail.serializers import MailDetailSerializer, MailSerializer
from web.pagination import NewestFirst


class MailFilter(filters.FilterSet):
    """Reads ``?state=failed``, also with several states: ``?state=retrying&state=failed``."""

    state = filters.MultipleChoiceFilter(choices=Email.State.choices, distinct=False)

    class Meta:
        model = Email
        fields = ["state"]


@extend_schema_view(
    list=extend_schema(summary="List your mails, newest first"),
    retrieve=extend_schema(summary="Show a mail and each attempt to send it"),
)
class MailViewSet(viewsets.ReadOnlyModelViewSet[Email]):
    """Mails to the user who asks, with the mail servers' answers."""

    queryset = Email.objects.none()
    serializer_class = MailSerializer
    pagination_class = NewestFirst
    filterset_class = MailFilter
    lookup_value_regex = "[0-9a-f-]{36}"

    def get_queryset(self) -> QuerySet[Email]:
        """Select the user's own mails, without their contents."""
        mails = Email.objects.filter(user=self.request.user.pk).defer("context")
        return mails.prefetch_related("attempts") if self.action == "retrieve" else mails

    def get_serializer_class(self) -> type[BaseSerializer[Email]]:
        """Show a single mail with its history."""
        return MailDetailSerializer if self.action == "retrieve" else MailSerializer
