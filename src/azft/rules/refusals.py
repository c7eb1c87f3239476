"""What to do about a refusal of Azure, by its code; the place where it was met says little about its cause.

Codes and meanings: Microsoft's list of storage and SAS errors, "Troubleshooting online endpoints", "How to troubleshoot
data access", Azure Resource Manager's common errors, and refusals that were published with their text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NETWORK = (
    "the network rules of the resource do not let this machine in: use an allowed network or its private endpoint, or "
    "ask its owner to allow this address"
)
_KEYS = (
    "the storage account takes no keys (allowSharedKeyAccess is false): let the datastore use identities, and take the "
    "role 'Storage Blob Data Contributor' on it"
)
_BLOB_ROLE = "ask for the role 'Storage Blob Data Contributor' on the workspace's storage account"
_QUOTA = "ask for more cores of this family (portal: Azure Machine Learning, Quota), or take fewer or smaller machines"
_SIGN_IN = "sign in again: az login"
_WAIT = "another operation on it is under way: try again in a minute"
ADVICE: Mapping[str, str] = {
    "AuthorizationPermissionMismatch": _BLOB_ROLE,
    "InsufficientAccountPermissions": _BLOB_ROLE,
    "AuthorizationFailure": _NETWORK,
    "AuthorizationSourceIPMismatch": _NETWORK,
    "PublicNetworkAccessDisabled": _NETWORK,
    "KeyBasedAuthenticationNotPermitted": _KEYS,
    "AccountIsDisabled": "the storage account is disabled: ask its owner",
    "AuthenticationFailed": "the signature or token is not valid any more: sign in again, and check this clock",
    "ContainerNotFound": "the datastore points at a container that does not exist: create it, or repair the datastore",
    "ContainerBeingDeleted": "the datastore's container is being deleted: create it again in a minute",
    "InvalidAuthenticationTokenTenant": "sign in to the tenant of the subscription: az login --tenant TENANT",
    "ExpiredAuthenticationToken": _SIGN_IN,
    "InvalidAuthenticationToken": _SIGN_IN,
    "SubscriptionNotFound": "check subscription_id: it is none, or none that this account sees (az account list)",
    "InvalidSubscriptionId": "check subscription_id (az account list)",
    "ResourceGroupNotFound": "check resource_group: the subscription has none of that name (az group list)",
    "RequestDisallowedByPolicy": "a policy of your organisation forbids it, for the reasons above: comply (where "
    "endpoints may have no keys: auth_mode='aad_token'), or ask for an exemption; trying again is of no use",
    "AuthorizationFailed": "ask for the action that is named above, on the scope that is named: 'AzureML Data "
    "Scientist' on the workspace for jobs and endpoints, 'AzureML Compute Operator' for clusters, 'Reader' on the "
    "subscription for sizes and quotas",
    "LinkedAuthorizationFailed": "ask for the action that is named above on the resource that is named",
    "OutOfQuota": _QUOTA,
    "QuotaExceeded": _QUOTA,
    "ClusterMinNodesExceedCoreQuota": _QUOTA,
    "ClusterCoreQuotaReached": _QUOTA,
    "JobNodeCountExceedsCoreQuota": _QUOTA,
    "InferencingClientCreateDeploymentFailed": _QUOTA,
    "ResourceNotAvailableForOffer": "this kind of subscription has no machines for Azure ML: take another",
    "OutOfCapacity": "the region has none of these machines free: try later, another size, or another region",
    "AllocationFailed": "the region has none of these machines free: try later, another size, or another region",
    "SkuNotAvailable": "the region does not offer this size: take another size or region",
    "UnsupportedVMSizeForLowPriority": "this size has no low-priority machines: tier='Dedicated', or another size",
    "ImageBuildFailure": "read the build log in the workspace: a package that cannot be installed, or no network",
    "ResourceNotReady": "the container crashed or is not ready in time: read the log above",
    "SecretsInjectionError": "the endpoint's identity cannot read a secret: give it the role",
    "WorkspaceManagedNetworkNotReady": "the workspace's managed network is not provisioned: az ml workspace "
    "provision-network",
    "OperationCanceled": _WAIT,
    "Conflict": _WAIT,
    "TooManyRequests": "the service asks for patience: try again in a minute",
    "RequestThrottled": "the service asks for patience: try again in a minute",
    "ServerTimeout": "the service is busy: try again in a minute",
}
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"AADSTS90002|AADSTS900023|tenant.*not found", re.IGNORECASE), "check AZURE_TENANT_ID"),
    (re.compile(r"AADSTS700016"), "check AZURE_CLIENT_ID, and that the application is in this tenant"),
    (re.compile(r"AADSTS7000215|AADSTS7000222"), "check AZURE_CLIENT_SECRET: it is wrong or has expired"),
    (re.compile(r"AADSTS70043|AADSTS700082|AADSTS700024|AADSTS50078"), "the sign-in has expired: az login"),
    (re.compile(r"AADSTS50076|AADSTS50079"), "the tenant wants a second factor: az login in a browser"),
    (re.compile(r"AADSTS53003"), "a conditional access policy forbids this sign-in: ask your administrator"),
    (re.compile(r"not enough quota|exceeding quota|core quota|vCPU quota|OutOfQuota", re.IGNORECASE), _QUOTA),
    (re.compile(r"sufficient capacity|OverconstrainedZonalAllocation", re.IGNORECASE), ADVICE["OutOfCapacity"]),
    (re.compile(r"KeyBasedAuthenticationNotPermitted|key based authentication is not permitted", re.IGNORECASE), _KEYS),
    (re.compile(r"disallowed by policy", re.IGNORECASE), ADVICE["RequestDisallowedByPolicy"]),
    (re.compile(r"Could not find datastore", re.IGNORECASE), "check the workspace's default datastore"),
)
_STATUSES: Mapping[int, str] = {
    401: _SIGN_IN,
    403: ADVICE["AuthorizationFailed"],
    408: "the service did not answer in time: try again",
    409: "another operation is under way, or the name is taken",
    412: "it was changed by somebody else meanwhile: look again",
    429: ADVICE["TooManyRequests"],
    499: "something between here and Azure closed the connection: try again",
    500: "the service failed: try again in a minute; if it stays, open a ticket with the request's id",
    502: "a gateway on the way failed: try again in a minute",
    503: ADVICE["ServerTimeout"],
    504: ADVICE["ServerTimeout"],
}
_BROKEN = 500


def advice_for(code: str, status: int, text: str) -> str:
    """Return what to do about a refusal: by its words, then by its code, then by the status; empty if nobody knows.

    >>> advice_for("AuthorizationFailure", 403, "")[:17], advice_for("", 520, "")[:18], advice_for("", 404, "")
    ('the network rules', 'something on the w', '')
    """
    for pattern, advice in _TEXTS:
        if pattern.search(text):
            return advice
    if code in ADVICE:
        return ADVICE[code]
    if status in _STATUSES:
        return _STATUSES[status]
    return f"something on the way to Azure answered {status}: try again in a minute" if status > _BROKEN else ""
