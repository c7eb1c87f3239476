"""The emulated sign-in: tokens for one service principal, and who may ask what."""

from __future__ import annotations

import hmac
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import jwt

from azft.testing.emulator.wire import Call, Operation, Reply

LOGIN = "login.microsoftonline.com"
LIFETIME = 3600
_AUDIENCES = ("management.azure.com", "management.core.windows.net", "ml.azure.com", "api.azureml.ms")
"""Services whose tokens the management plane and the workspace's services take; storage's is not among them."""
_KEY = secrets.token_bytes(32)
"""One for the process: clients such as azureml-mlflow keep a token from one emulator to the next."""


class Identity:
    """One tenant with one service principal; its secret is new every time, and a token lives `lifetime` seconds."""

    def __init__(self, tenant: str, client: str, *, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self.tenant = tenant
        self.client = client
        self.secret = secrets.token_urlsafe(24)

    def why_not(self, call: Call) -> tuple[str, str]:
        """Return code and words of why the request's token is not taken: none, expired, broken, for another service."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
        try:
            claims = jwt.decode(token, _KEY, algorithms=["HS256"], options={"verify_aud": False})
        except jwt.ExpiredSignatureError:
            return "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time."
        except jwt.InvalidTokenError:
            return "InvalidAuthenticationToken", "The access token is invalid."
        if not any(part in str(claims.get("aud", "")) for part in _AUDIENCES):
            said = f"The access token has been obtained for wrong audience or resource {claims.get('aud')!r}."
            return "InvalidAuthenticationTokenAudience", said
        return "", ""

    def bears(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request to storage bears a token for it."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        try:
            claims = jwt.decode(token, _KEY, algorithms=["HS256"], options={"verify_aud": False})
        except jwt.InvalidTokenError:
            return False
        return scheme.lower() == "bearer" and "storage.azure.com" in str(claims.get("aud", ""))

    @property
    def challenge(self) -> str:
        """What a refusal says about where to sign in."""
        return f'Bearer authorization_uri="https://{LOGIN}/{self.tenant}", error="invalid_token"'

    def operations(self) -> Sequence[Operation]:
        """Return the sign-in's operations."""
        said = "what azure-identity and msal need of the OpenID configuration and the token endpoint"
        return [
            Operation(
                "GET",
                LOGIN,
                "/{tenant}/v2.0/.well-known/openid-configuration",
                self._configuration,
                "documentation",
                note=said,
                open=True,
            ),
            Operation(
                "GET", LOGIN, "/common/discovery/instance", self._instances, "documentation", note=said, open=True
            ),
            Operation(
                "POST",
                LOGIN,
                "/{tenant}/oauth2/v2.0/token",
                self._token,
                "documentation",
                note="client credentials only; the refusals carry the real error numbers",
                open=True,
            ),
        ]

    def _configuration(self, call: Call) -> Reply:
        base = f"https://{LOGIN}/{call['tenant']}"
        return Reply(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token"],
                "tenant_region_scope": "NA",
            }
        )

    def _instances(self, call: Call) -> Reply:
        aliases = [LOGIN, "login.windows.net", "login.microsoft.com", "sts.windows.net"]
        known = {"preferred_network": LOGIN, "preferred_cache": "login.windows.net", "aliases": aliases}
        endpoint = f"https://{LOGIN}/{self.tenant}/v2.0/.well-known/openid-configuration"
        return Reply({"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": [known]})

    def _token(self, call: Call) -> Reply:
        form = {name: values[-1] for name, values in parse_qs(str(call.body or "")).items()}
        if form.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "AADSTS70003: only client_credentials is emulated")
        if call["tenant"] != self.tenant:
            return _refused("invalid_request", f"AADSTS90002: Tenant '{call['tenant']}' not found")
        if form.get("client_id") != self.client:
            return _refused("unauthorized_client", f"AADSTS700016: Application '{form.get('client_id')}' was not found")
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.secret.encode()):
            return _refused("invalid_client", "AADSTS7000215: Invalid client secret provided")
        scope = form.get("scope", "")
        return Reply(
            {
                "token_type": "Bearer",
                "expires_in": int(self._lifetime),
                "ext_expires_in": int(self._lifetime),
                "access_token": self._issue(scope.removesuffix(".default").rstrip("/")),
            }
        )

    def _issue(self, audience: str) -> str:
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + int(self._lifetime),
            "appid": self.client,
            "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, self.client)),
            "tid": self.tenant,
        }
        return jwt.encode(claims, _KEY, algorithm="HS256")


def _refused(error: str, description: str) -> Reply:
    return Reply({"error": error, "error_description": description, "error_codes": []}, 401)
