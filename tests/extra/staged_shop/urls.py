"""Addresses of the staged app."""

from django.urls import path

from staged_shop.views import SumsView

urlpatterns = [path("sums/<str:way>", SumsView.as_view())]
