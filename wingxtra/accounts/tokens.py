"""`POST /api/v1/auth/token`: a user's name and password for a pair of tokens."""

from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import RefreshToken, Token
from rest_framework_simplejwt.views import TokenObtainPairView

from wingxtra.accounts.models import User


class TokenPair(TokenObtainPairSerializer):
    """Adds the claims that clients read: `role` and `merchant_id`."""

    @classmethod
    def get_token(cls, user: User) -> Token:  # type: ignore[override]
        token = RefreshToken.for_user(user)
        token["role"] = user.role
        token["merchant_id"] = str(user.merchant_id) if user.merchant_id else None
        return token


class ObtainToken(TokenObtainPairView):
    serializer_class = TokenPair  # type: ignore[assignment]
