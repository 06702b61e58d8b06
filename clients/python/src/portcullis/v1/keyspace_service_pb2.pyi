import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from portcullis.v1 import api_key_pb2 as _api_key_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HashPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HASH_POLICY_UNSPECIFIED: _ClassVar[HashPolicy]
    HASH_POLICY_SHA256: _ClassVar[HashPolicy]
    HASH_POLICY_ARGON2ID: _ClassVar[HashPolicy]
HASH_POLICY_UNSPECIFIED: HashPolicy
HASH_POLICY_SHA256: HashPolicy
HASH_POLICY_ARGON2ID: HashPolicy

class Keyspace(_message.Message):
    __slots__ = ("id", "display_name", "key_prefix", "allowed_subject_types", "default_ttl", "max_ttl", "allow_wildcard_scopes", "hash_policy", "create_time", "update_time", "etag", "default_rate_limit", "limits")
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_SUBJECT_TYPES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TTL_FIELD_NUMBER: _ClassVar[int]
    MAX_TTL_FIELD_NUMBER: _ClassVar[int]
    ALLOW_WILDCARD_SCOPES_FIELD_NUMBER: _ClassVar[int]
    HASH_POLICY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    key_prefix: str
    allowed_subject_types: _containers.RepeatedScalarFieldContainer[str]
    default_ttl: _duration_pb2.Duration
    max_ttl: _duration_pb2.Duration
    allow_wildcard_scopes: bool
    hash_policy: HashPolicy
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    default_rate_limit: _api_key_pb2.RateLimit
    limits: KeyspaceLimits
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., key_prefix: _Optional[str] = ..., allowed_subject_types: _Optional[_Iterable[str]] = ..., default_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_wildcard_scopes: bool = ..., hash_policy: _Optional[_Union[HashPolicy, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., default_rate_limit: _Optional[_Union[_api_key_pb2.RateLimit, _Mapping]] = ..., limits: _Optional[_Union[KeyspaceLimits, _Mapping]] = ...) -> None: ...

class KeyspaceLimits(_message.Message):
    __slots__ = ("calls_max", "calls_per_second", "keys_max")
    CALLS_MAX_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    KEYS_MAX_FIELD_NUMBER: _ClassVar[int]
    calls_max: int
    calls_per_second: int
    keys_max: int
    def __init__(self, calls_max: _Optional[int] = ..., calls_per_second: _Optional[int] = ..., keys_max: _Optional[int] = ...) -> None: ...

class CreateKeyspaceRequest(_message.Message):
    __slots__ = ("keyspace",)
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    keyspace: Keyspace
    def __init__(self, keyspace: _Optional[_Union[Keyspace, _Mapping]] = ...) -> None: ...

class CreateKeyspaceResponse(_message.Message):
    __slots__ = ("keyspace",)
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    keyspace: Keyspace
    def __init__(self, keyspace: _Optional[_Union[Keyspace, _Mapping]] = ...) -> None: ...

class GetKeyspaceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetKeyspaceResponse(_message.Message):
    __slots__ = ("keyspace",)
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    keyspace: Keyspace
    def __init__(self, keyspace: _Optional[_Union[Keyspace, _Mapping]] = ...) -> None: ...

class ListKeyspacesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListKeyspacesResponse(_message.Message):
    __slots__ = ("keyspaces", "next_page_token")
    KEYSPACES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    keyspaces: _containers.RepeatedCompositeFieldContainer[Keyspace]
    next_page_token: str
    def __init__(self, keyspaces: _Optional[_Iterable[_Union[Keyspace, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateKeyspaceRequest(_message.Message):
    __slots__ = ("keyspace", "update_mask")
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    keyspace: Keyspace
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, keyspace: _Optional[_Union[Keyspace, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateKeyspaceResponse(_message.Message):
    __slots__ = ("keyspace",)
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    keyspace: Keyspace
    def __init__(self, keyspace: _Optional[_Union[Keyspace, _Mapping]] = ...) -> None: ...

class DeleteKeyspaceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteKeyspaceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
