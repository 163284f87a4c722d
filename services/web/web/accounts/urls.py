"""Addresses of accounts."""

from django.urls import path

from web.accounts import views

urlpatterns = [
    path("users", views.RegistrationView.as_view(), name="registration"),
    path("users/verify", views.VerificationView.as_view(), name="verification"),
    path("users/verify/resend", views.ResendView.as_view(), name="verification-resend"),
    path("users/me", views.MeView.as_view(), name="me"),
    path("auth/token", views.TokenView.as_view(), name="token"),
    path("auth/token/refresh", views.RefreshView.as_view(), name="token-refresh"),
]
