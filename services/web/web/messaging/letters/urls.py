"""Addresses of the operators' API."""

from rest_framework.routers import SimpleRouter

from web.messaging.letters.views import DeadLetterViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=True)
router.register("ops/dead-letters", DeadLetterViewSet, basename="dead-letter")
urlpatterns = router.urls
