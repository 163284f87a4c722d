"""Mails in the API, never with their contents."""

from rest_framework import serializers

from web.mail.models import Email, EmailAttempt


class AttemptSerializer(serializers.ModelSerializer[EmailAttempt]):
    """One attempt to send a mail."""

    class Meta:
        model = EmailAttempt
        fields = ["number", "at", "outcome", "answer", "worker"]
        read_only_fields = fields


class MailSerializer(serializers.ModelSerializer[Email]):
    """A mail as its owner sees it in a list."""

    attempts = serializers.IntegerField(
        source="attempt", read_only=True, help_text="Number of the latest attempt, from 1."
    )
    answer = serializers.CharField(read_only=True, help_text="The mail server's latest answer.")

    class Meta:
        model = Email
        fields = [
            "id", "template", "recipient", "state", "attempts", "answer", "message_id",
            "uncertain", "created_at", "next_attempt_at", "sent_at", "failed_at",
        ]  # fmt: skip
        read_only_fields = fields


class MailDetailSerializer(MailSerializer):
    """A mail with the history of its attempts."""

    history = AttemptSerializer(source="attempts", many=True, read_only=True)

    class Meta(MailSerializer.Meta):
        fields = [*MailSerializer.Meta.fields, "history"]
        read_only_fields = fields
