//! The URNs of the RFCs, each written once.

/// RFC 7643 §4.1.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// RFC 7643 §4.2.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// RFC 7643 §4.3.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// RFC 7643 §5.
pub const SERVICE_PROVIDER_CONFIG: &str =
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// RFC 7643 §6.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// RFC 7643 §7.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// RFC 7644 §3.4.2.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// RFC 7644 §3.4.3.
pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// RFC 7644 §3.5.2.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// RFC 7644 §3.7.
pub const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// RFC 7644 §3.7.
pub const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// RFC 7644 §3.12.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The beginning of every message URN. `/Schemas` lists no message schemas (RFC 7644 §3.1).
pub const MESSAGE_PREFIX: &str = "urn:ietf:params:scim:api:messages:";

/// SCIM 1.1: every core resource and message.
pub const CORE_1_1: &str = "urn:scim:schemas:core:1.0";
/// SCIM 1.1: the enterprise extension of User.
pub const ENTERPRISE_1_1: &str = "urn:scim:schemas:extension:enterprise:1.0";

/// The Ionic API's extension of User, in the form that URNs of SCIM 2.0 have. Clients take what
/// follows the last colon of a path for an attribute name, which `1.0` cannot be.
pub const IONIC_USER: &str = "urn:ietf:params:scim:schemas:extension:ionic:2.0:User";
/// SCIM 1.1: the same extension.
pub const IONIC_1_1: &str = "urn:scim:schemas:extension:ionic:1.0";
/// A group's description, which SCIM has no attribute for.
pub const DESCRIBED_GROUP: &str = "urn:ietf:params:scim:schemas:extension:scim-lambda:2.0:Group";
/// An enrolled device; RFC 9944's `urn:ietf:params:scim:schemas:core:2.0:Device` is another schema.
pub const DEVICE: &str = "urn:ietf:params:scim:schemas:extension:scim-lambda:2.0:Device";
/// A set of permissions. It is not the `roles` attribute of a user (RFC 7643 §4.1.2).
pub const ROLE: &str = "urn:ietf:params:scim:schemas:extension:scim-lambda:2.0:Role";
/// The catalogue of permissions.
pub const SCOPES: &str = "urn:ietf:params:scim:schemas:extension:scim-lambda:2.0:Scopes";
