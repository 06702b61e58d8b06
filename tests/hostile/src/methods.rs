//! Where the methods are that are called.

pub const VERIFY: &str = "/portcullis.v1.VerificationService/Verify";
pub const BATCH_VERIFY: &str = "/portcullis.v1.VerificationService/BatchVerify";
pub const CREATE: &str = "/portcullis.v1.ApiKeyService/CreateApiKey";
pub const IMPORT: &str = "/portcullis.v1.ApiKeyService/ImportApiKeys";
pub const LIST: &str = "/portcullis.v1.ApiKeyService/ListApiKeys";
pub const REVOKE: &str = "/portcullis.v1.ApiKeyService/RevokeApiKey";
pub const AUDIT: &str = "/portcullis.v1.AuditService/ListAuditEvents";
pub const CREATE_KEYSPACE: &str = "/portcullis.v1.KeyspaceService/CreateKeyspace";
pub const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
pub const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
pub const REFLECTION_V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
pub const REFLECTION_V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
