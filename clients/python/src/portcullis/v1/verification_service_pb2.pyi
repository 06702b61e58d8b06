import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_VALID: _ClassVar[Verdict]
    VERDICT_MALFORMED: _ClassVar[Verdict]
    VERDICT_NOT_FOUND: _ClassVar[Verdict]
    VERDICT_REVOKED: _ClassVar[Verdict]
    VERDICT_EXPIRED: _ClassVar[Verdict]
    VERDICT_DISABLED: _ClassVar[Verdict]
    VERDICT_IP_NOT_ALLOWED: _ClassVar[Verdict]
    VERDICT_INSUFFICIENT_SCOPE: _ClassVar[Verdict]
    VERDICT_RATE_LIMITED: _ClassVar[Verdict]
    VERDICT_CREDITS_EXHAUSTED: _ClassVar[Verdict]
VERDICT_UNSPECIFIED: Verdict
VERDICT_VALID: Verdict
VERDICT_MALFORMED: Verdict
VERDICT_NOT_FOUND: Verdict
VERDICT_REVOKED: Verdict
VERDICT_EXPIRED: Verdict
VERDICT_DISABLED: Verdict
VERDICT_IP_NOT_ALLOWED: Verdict
VERDICT_INSUFFICIENT_SCOPE: Verdict
VERDICT_RATE_LIMITED: Verdict
VERDICT_CREDITS_EXHAUSTED: Verdict

class VerifyRequest(_message.Message):
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

class VerifyResponse(_message.Message):
    __slots__ = ("valid", "verdict", "key_id", "keyspace", "subject", "scopes", "claims", "expire_time", "missing_scopes", "rate_limit", "credits_remaining")
    VALID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEYSPACE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    MISSING_SCOPES_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CREDITS_REMAINING_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    verdict: Verdict
    key_id: str
    keyspace: str
    subject: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    claims: _struct_pb2.Struct
    expire_time: _timestamp_pb2.Timestamp
    missing_scopes: _containers.RepeatedScalarFieldContainer[str]
    rate_limit: RateLimitStatus
    credits_remaining: int
    def __init__(self, valid: bool = ..., verdict: _Optional[_Union[Verdict, str]] = ..., key_id: _Optional[str] = ..., keyspace: _Optional[str] = ..., subject: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ..., claims: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., missing_scopes: _Optional[_Iterable[str]] = ..., rate_limit: _Optional[_Union[RateLimitStatus, _Mapping]] = ..., credits_remaining: _Optional[int] = ...) -> None: ...

class RateLimitStatus(_message.Message):
    __slots__ = ("limit", "remaining", "reset_time", "retry_time", "name")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    RETRY_TIME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    limit: int
    remaining: int
    reset_time: _timestamp_pb2.Timestamp
    retry_time: _timestamp_pb2.Timestamp
    name: str
    def __init__(self, limit: _Optional[int] = ..., remaining: _Optional[int] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retry_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class BatchVerifyRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[VerifyRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[VerifyRequest, _Mapping]]] = ...) -> None: ...

class BatchVerifyResponse(_message.Message):
    __slots__ = ("responses",)
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedCompositeFieldContainer[VerifyResponse]
    def __init__(self, responses: _Optional[_Iterable[_Union[VerifyResponse, _Mapping]]] = ...) -> None: ...

class VerifyStreamRequest(_message.Message):
    __slots__ = ("correlation_id", "request")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    request: VerifyRequest
    def __init__(self, correlation_id: _Optional[str] = ..., request: _Optional[_Union[VerifyRequest, _Mapping]] = ...) -> None: ...

class VerifyStreamResponse(_message.Message):
    __slots__ = ("correlation_id", "response")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    response: VerifyResponse
    def __init__(self, correlation_id: _Optional[str] = ..., response: _Optional[_Union[VerifyResponse, _Mapping]] = ...) -> None: ...
