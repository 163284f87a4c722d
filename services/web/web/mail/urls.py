"""Addresses of mails."""

from rest_framework.routers import SimpleRouter

from web.mail.views import MailViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=True)
router.register("mails", MailViewSet, basename="mail")
urlpatterns = router.urls
