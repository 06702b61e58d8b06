import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from portcullis.v1 import api_key_pb2 as _api_key_pb2
from portcullis.v1 import verification_service_pb2 as _verification_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DigestAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIGEST_ALGORITHM_UNSPECIFIED: _ClassVar[DigestAlgorithm]
    DIGEST_ALGORITHM_SHA256: _ClassVar[DigestAlgorithm]
    DIGEST_ALGORITHM_SHA384: _ClassVar[DigestAlgorithm]
    DIGEST_ALGORITHM_SHA512: _ClassVar[DigestAlgorithm]
DIGEST_ALGORITHM_UNSPECIFIED: DigestAlgorithm
DIGEST_ALGORITHM_SHA256: DigestAlgorithm
DIGEST_ALGORITHM_SHA384: DigestAlgorithm
DIGEST_ALGORITHM_SHA512: DigestAlgorithm

class CreateApiKeyRequest(_message.Message):
    __slots__ = ("keyspace", "name", "subject", "description", "scopes", "claims", "metadata", "expire_time", "ttl", "created_by", "request_id", "rate_limit", "credits", "allowed_cidrs")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_CIDRS_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    name: str
    subject: str
    description: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    claims: _struct_pb2.Struct
    metadata: _containers.ScalarMap[str, str]
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    created_by: str
    request_id: str
    rate_limit: _api_key_pb2.RateLimit
    credits: _api_key_pb2.Credits
    allowed_cidrs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keyspace: _Optional[str] = ..., name: _Optional[str] = ..., subject: _Optional[str] = ..., description: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., claims: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., created_by: _Optional[str] = ..., request_id: _Optional[str] = ..., rate_limit: _Optional[_Union[_api_key_pb2.RateLimit, _Mapping]] = ..., credits: _Optional[_Union[_api_key_pb2.Credits, _Mapping]] = ..., allowed_cidrs: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateApiKeyResponse(_message.Message):
    __slots__ = ("api_key", "secret")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    secret: str
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ..., secret: _Optional[str] = ...) -> None: ...

class ImportApiKeysRequest(_message.Message):
    __slots__ = ("keyspace", "entries", "validate_only")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    entries: _containers.RepeatedCompositeFieldContainer[ApiKeyImport]
    validate_only: bool
    def __init__(self, keyspace: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[ApiKeyImport, _Mapping]]] = ..., validate_only: bool = ...) -> None: ...

class ApiKeyImport(_message.Message):
    __slots__ = ("name", "subject", "description", "scopes", "claims", "metadata", "expire_time", "ttl", "created_by", "request_id", "plaintext", "digest", "phc", "lookup_prefix", "rate_limit", "credits", "allowed_cidrs")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PLAINTEXT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PHC_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_PREFIX_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_CIDRS_FIELD_NUMBER: _ClassVar[int]
    name: str
    subject: str
    description: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    claims: _struct_pb2.Struct
    metadata: _containers.ScalarMap[str, str]
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    created_by: str
    request_id: str
    plaintext: str
    digest: SecretDigest
    phc: str
    lookup_prefix: str
    rate_limit: _api_key_pb2.RateLimit
    credits: _api_key_pb2.Credits
    allowed_cidrs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., subject: _Optional[str] = ..., description: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., claims: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., created_by: _Optional[str] = ..., request_id: _Optional[str] = ..., plaintext: _Optional[str] = ..., digest: _Optional[_Union[SecretDigest, _Mapping]] = ..., phc: _Optional[str] = ..., lookup_prefix: _Optional[str] = ..., rate_limit: _Optional[_Union[_api_key_pb2.RateLimit, _Mapping]] = ..., credits: _Optional[_Union[_api_key_pb2.Credits, _Mapping]] = ..., allowed_cidrs: _Optional[_Iterable[str]] = ...) -> None: ...

class SecretDigest(_message.Message):
    __slots__ = ("algorithm", "value")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    algorithm: DigestAlgorithm
    value: bytes
    def __init__(self, algorithm: _Optional[_Union[DigestAlgorithm, str]] = ..., value: _Optional[bytes] = ...) -> None: ...

class ImportApiKeysResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ApiKeyImportResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ApiKeyImportResult, _Mapping]]] = ...) -> None: ...

class ApiKeyImportResult(_message.Message):
    __slots__ = ("api_key", "status")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    status: _status_pb2.Status
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GetApiKeyRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetApiKeyResponse(_message.Message):
    __slots__ = ("api_key",)
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ...) -> None: ...

class ListApiKeysRequest(_message.Message):
    __slots__ = ("keyspace", "subject", "query", "include_invalid", "metadata", "created_by", "unused_since", "page_size", "page_token", "skip", "exact_total")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_INVALID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    UNUSED_SINCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    EXACT_TOTAL_FIELD_NUMBER: _ClassVar[int]
    keyspace: str
    subject: str
    query: str
    include_invalid: bool
    metadata: _containers.ScalarMap[str, str]
    created_by: str
    unused_since: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    skip: int
    exact_total: bool
    def __init__(self, keyspace: _Optional[str] = ..., subject: _Optional[str] = ..., query: _Optional[str] = ..., include_invalid: bool = ..., metadata: _Optional[_Mapping[str, str]] = ..., created_by: _Optional[str] = ..., unused_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., skip: _Optional[int] = ..., exact_total: bool = ...) -> None: ...

class ListApiKeysResponse(_message.Message):
    __slots__ = ("api_keys", "next_page_token", "total_size", "total_size_is_lower_bound")
    API_KEYS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_IS_LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    api_keys: _containers.RepeatedCompositeFieldContainer[_api_key_pb2.ApiKey]
    next_page_token: str
    total_size: int
    total_size_is_lower_bound: bool
    def __init__(self, api_keys: _Optional[_Iterable[_Union[_api_key_pb2.ApiKey, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., total_size_is_lower_bound: bool = ...) -> None: ...

class UpdateApiKeyRequest(_message.Message):
    __slots__ = ("api_key", "update_mask", "add_credits", "end_overlap", "allow_last_admin")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ADD_CREDITS_FIELD_NUMBER: _ClassVar[int]
    END_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LAST_ADMIN_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    update_mask: _field_mask_pb2.FieldMask
    add_credits: int
    end_overlap: bool
    allow_last_admin: bool
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., add_credits: _Optional[int] = ..., end_overlap: bool = ..., allow_last_admin: bool = ...) -> None: ...

class UpdateApiKeyResponse(_message.Message):
    __slots__ = ("api_key",)
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ...) -> None: ...

class RotateApiKeyRequest(_message.Message):
    __slots__ = ("id", "overlap", "end_overlap")
    ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    END_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    id: str
    overlap: _duration_pb2.Duration
    end_overlap: bool
    def __init__(self, id: _Optional[str] = ..., overlap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., end_overlap: bool = ...) -> None: ...

class RotateApiKeyResponse(_message.Message):
    __slots__ = ("api_key", "secret", "previous_secret_expire_time")
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_SECRET_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    secret: str
    previous_secret_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ..., secret: _Optional[str] = ..., previous_secret_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RevokeApiKeyRequest(_message.Message):
    __slots__ = ("id", "secret", "reason", "comment", "allow_last_admin")
    ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LAST_ADMIN_FIELD_NUMBER: _ClassVar[int]
    id: str
    secret: str
    reason: _api_key_pb2.RevocationReason
    comment: str
    allow_last_admin: bool
    def __init__(self, id: _Optional[str] = ..., secret: _Optional[str] = ..., reason: _Optional[_Union[_api_key_pb2.RevocationReason, str]] = ..., comment: _Optional[str] = ..., allow_last_admin: bool = ...) -> None: ...

class RevokeApiKeyResponse(_message.Message):
    __slots__ = ("api_key",)
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    api_key: _api_key_pb2.ApiKey
    def __init__(self, api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ...) -> None: ...

class DeleteApiKeyRequest(_message.Message):
    __slots__ = ("id", "allow_last_admin")
    ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LAST_ADMIN_FIELD_NUMBER: _ClassVar[int]
    id: str
    allow_last_admin: bool
    def __init__(self, id: _Optional[str] = ..., allow_last_admin: bool = ...) -> None: ...

class DeleteApiKeyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyApiKeyRequest(_message.Message):
    __slots__ = ("key", "required_scopes", "any_of_scopes", "keyspace", "client_ip", "cost")
    KEY_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_SCOPES_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_SCOPES_FIELD_NUMBER: _ClassVar[int]
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_IP_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    key: str
    required_scopes: _containers.RepeatedScalarFieldContainer[str]
    any_of_scopes: _containers.RepeatedScalarFieldContainer[str]
    keyspace: str
    client_ip: str
    cost: int
    def __init__(self, key: _Optional[str] = ..., required_scopes: _Optional[_Iterable[str]] = ..., any_of_scopes: _Optional[_Iterable[str]] = ..., keyspace: _Optional[str] = ..., client_ip: _Optional[str] = ..., cost: _Optional[int] = ...) -> None: ...

class VerifyApiKeyResponse(_message.Message):
    __slots__ = ("valid", "verdict", "missing_scopes", "api_key")
    VALID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    MISSING_SCOPES_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    verdict: _verification_service_pb2.Verdict
    missing_scopes: _containers.RepeatedScalarFieldContainer[str]
    api_key: _api_key_pb2.ApiKey
    def __init__(self, valid: bool = ..., verdict: _Optional[_Union[_verification_service_pb2.Verdict, str]] = ..., missing_scopes: _Optional[_Iterable[str]] = ..., api_key: _Optional[_Union[_api_key_pb2.ApiKey, _Mapping]] = ...) -> None: ...
