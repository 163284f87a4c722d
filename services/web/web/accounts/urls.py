"""Addresses of accounts."""

from django.urls import path

from web.accounts.views import passwords, registrations, sessions

urlpatterns = [
    path("users", registrations.RegistrationView.as_view(), name="registration"),
    path(
        "registrations/<uuid:pk>",
        registrations.RegistrationStateView.as_view(),
        name="registration-state",
    ),
    path("users/verify", registrations.VerificationView.as_view(), name="verification"),
    path("users/verify/resend", registrations.ResendView.as_view(), name="verification-resend"),
    path("users/me", registrations.MeView.as_view(), name="me"),
    path("auth/token", sessions.TokenView.as_view(), name="token"),
    path("auth/token/refresh", sessions.RefreshView.as_view(), name="token-refresh"),
    path("auth/password", passwords.PasswordView.as_view(), name="password"),
    path("auth/password/reset", passwords.PasswordResetView.as_view(), name="password-reset"),
    path(
        "auth/password/reset/confirm",
        passwords.PasswordConfirmView.as_view(),
        name="password-reset-confirm",
    ),
    path("auth/logout", sessions.SignOutView.as_view(), name="sign-out"),
    path(
        "auth/sessions",
        sessions.SessionViewSet.as_view({"get": "list", "delete": "destroy_all"}),
        name="session-list",
    ),
    path(
        "auth/sessions/<uuid:pk>",
        sessions.SessionViewSet.as_view({"delete": "destroy"}),
        name="session-detail",
    ),
]
