from django.urls import path

from wingxtra.accounts.tokens import ObtainToken, RefreshPair, VerifyToken

urlpatterns = [
    path("auth/token", ObtainToken.as_view(), name="token"),
    path("auth/token/refresh", RefreshPair.as_view(), name="token-refresh"),
    path("auth/token/verify", VerifyToken.as_view(), name="token-verify"),
]
