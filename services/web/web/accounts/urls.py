"""Addresses of accounts."""

from django.urls import path

from web.accounts import views

urlpatterns = [
    path("users", views.RegistrationView.as_view(), name="registration"),
    path(
        "registrations/<uuid:pk>",
        views.RegistrationStateView.as_view(),
        name="registration-state",
    ),
    path("users/verify", views.VerificationView.as_view(), name="verification"),
    path("users/verify/resend", views.ResendView.as_view(), name="verification-resend"),
    path("users/me", views.MeView.as_view(), name="me"),
    path("auth/token", views.TokenView.as_view(), name="token"),
    path("auth/token/refresh", views.RefreshView.as_view(), name="token-refresh"),
    path("auth/password", views.PasswordView.as_view(), name="password"),
    path("auth/password/reset", views.PasswordResetView.as_view(), name="password-reset"),
    path(
        "auth/password/reset/confirm",
        views.PasswordConfirmView.as_view(),
        name="password-reset-confirm",
    ),
    path("auth/logout", views.SignOutView.as_view(), name="sign-out"),
    path(
        "auth/sessions",
        views.SessionViewSet.as_view({"get": "list", "delete": "destroy_all"}),
        name="session-list",
    ),
    path(
        "auth/sessions/<uuid:pk>",
        views.SessionViewSet.as_view({"delete": "destroy"}),
        name="session-detail",
    ),
]
