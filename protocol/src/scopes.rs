//! Permissions: the catalogue of scopes, and what a credential with some of them may do.
//!
//! A Role lists scopes (`users:read`). A credential may be bound to a role, or be given scopes of its
//! own. A credential with neither may do everything in its tenant; if it belongs to a user, it may use
//! `/Me` alone. Which credential has which scopes is not known here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, excerpt};
use crate::urn;

/// Every scope, grouped by the type it is for. `resources` is for all types that a tenant registered
/// itself, so that the catalogue is the same for every tenant.
const CATALOGUE: [(&str, &[&str]); 10] = [
    (
        "users",
        &[
            "users:create",
            "users:read",
            "users:list",
            "users:update",
            "users:delete",
        ],
    ),
    (
        "groups",
        &[
            "groups:create",
            "groups:read",
            "groups:list",
            "groups:update",
            "groups:delete",
        ],
    ),
    (
        "devices",
        &[
            "devices:create",
            "devices:read",
            "devices:list",
            "devices:update",
            "devices:delete",
        ],
    ),
    (
        "roles",
        &[
            "roles:create",
            "roles:read",
            "roles:list",
            "roles:update",
            "roles:delete",
        ],
    ),
    (
        "resources",
        &[
            "resources:create",
            "resources:read",
            "resources:list",
            "resources:update",
            "resources:delete",
        ],
    ),
    ("scopes", &["scopes:read"]),
    ("events", &[READ_EVENTS]),
    ("me", &[READ_ME, UPDATE_ME]),
    ("stack", &[HEALTH]),
    ("access", &[ACCESS]),
];

/// The endpoints whose scopes begin with their own name; all other endpoints share `resources`.
const OWN_GROUPS: [&str; 5] = ["users", "groups", "devices", "roles", "scopes"];

/// The scope without which a role permits nothing.
const ACCESS: &str = "access:api";

/// The scope for reading the feed of changes.
pub const READ_EVENTS: &str = "events:read";

/// The scope for reading `/Me`.
pub const READ_ME: &str = "me:read";

/// The scope for changing `/Me`.
pub const UPDATE_ME: &str = "me:update";

/// The scope for asking whether the service reaches its table and its secrets.
pub const HEALTH: &str = "stack:health";

/// Scopes that another one includes: a credential that may read or change every user may also read or
/// change the user it belongs to.
const INCLUDED: [(&str, &str); 2] = [(READ_ME, "users:read"), (UPDATE_ME, "users:update")];

/// What a caller may be permitted to do with the resources of a type. Together with the name of the
/// type it is a scope: `users:create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// POST.
    Create,
    /// GET of one resource.
    Read,
    /// A query.
    List,
    /// PUT and PATCH.
    Update,
    /// DELETE.
    Delete,
}

impl Permission {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::List => "list",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// What a credential may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Permissions {
    /// Everything in its tenant.
    #[default]
    All,
    /// What these scopes allow.
    Only(BTreeSet<String>),
}

impl Permissions {
    /// The permissions of a credential that is bound to a role with these scopes. It may do nothing
    /// unless `access:api` is among them.
    pub fn of_role<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Self {
        Self::Only(scopes.into_iter().map(str::to_owned).collect())
    }

    /// The permissions of a credential that was given these scopes itself. They imply `access:api`.
    pub fn of_credential<'s>(scopes: impl IntoIterator<Item = &'s str>) -> Self {
        Self::of_role(scopes.into_iter().chain([ACCESS]))
    }

    /// The permissions of a credential that belongs to a user and was given no others: to read and
    /// change that user at `/Me`.
    #[must_use]
    pub fn of_user() -> Self {
        Self::of_credential([READ_ME, UPDATE_ME])
    }

    /// Adds the scopes of the role that a credential is bound to. If the credential has no scopes of
    /// its own, the role must have `access:api`.
    pub fn grant<'s>(&mut self, scopes: impl IntoIterator<Item = &'s str>) {
        if let Self::Only(own) = self {
            own.extend(scopes.into_iter().map(str::to_owned));
        }
    }

    /// Takes away what is not among these scopes. What is left still includes the use of the service, if it
    /// was included before.
    pub fn narrow<'s>(&mut self, scopes: impl IntoIterator<Item = &'s str>) {
        let kept: BTreeSet<String> = scopes
            .into_iter()
            .chain([ACCESS])
            .filter(|scope| self.has(scope))
            .map(str::to_owned)
            .collect();
        *self = Self::Only(kept);
    }

    /// Checks that the credential may use the service at all.
    ///
    /// # Errors
    /// `Forbidden` naming `access:api`.
    pub fn check_access(&self) -> Result<()> {
        self.check_scope(ACCESS)
    }

    /// Checks a permission for the resources of an endpoint such as `Users`.
    ///
    /// # Errors
    /// `Forbidden` naming the scope that is missing.
    pub fn check(&self, endpoint: &str, permission: Permission) -> Result<()> {
        self.check_access()?;
        self.check_scope(&scope(endpoint, permission))
    }

    /// Checks a permission on the user that the credential belongs to (RFC 7644 §3.11). No scope is
    /// for deleting this user alone, so that takes `users:delete`.
    ///
    /// # Errors
    /// `Forbidden` naming the scope that is missing.
    pub fn check_me(&self, permission: Permission) -> Result<()> {
        self.check_access()?;
        match permission {
            Permission::Read => self.check_scope(READ_ME),
            Permission::Update => self.check_scope(UPDATE_ME),
            Permission::Create | Permission::List | Permission::Delete => {
                self.check("Users", permission)
            }
        }
    }

    /// Checks the permission for the feed of changes. The feed shows which resources change. It shows
    /// values only to callers that may read resources of the type, which [`check`](Self::check)
    /// decides.
    ///
    /// # Errors
    /// `Forbidden` naming the scope that is missing.
    pub fn check_events(&self) -> Result<()> {
        self.check_access()?;
        self.check_scope(READ_EVENTS)
    }

    /// Checks the permission to ask whether the service reaches its table and its secrets.
    ///
    /// # Errors
    /// `Forbidden` naming the scope that is missing.
    pub fn check_health(&self) -> Result<()> {
        self.check_access()?;
        self.check_scope(HEALTH)
    }

    /// Checks that a credential may give these scopes to others, which it may if it has them itself.
    ///
    /// # Errors
    /// `Forbidden` naming the first scope that it does not have.
    pub fn check_grant<'s>(&self, scopes: impl IntoIterator<Item = &'s str>) -> Result<()> {
        let mut missing = scopes.into_iter().filter(|scope| !self.has(scope));
        missing.next().map_or(Ok(()), |scope| {
            Err(Error::forbidden(format!(
                "The credential lacks the permission `{scope}` and cannot grant it"
            )))
        })
    }

    fn check_scope(&self, scope: &str) -> Result<()> {
        if self.has(scope) {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "The credential lacks the permission `{scope}`"
        )))
    }

    fn has(&self, scope: &str) -> bool {
        let Self::Only(scopes) = self else {
            return true;
        };
        let mut including = INCLUDED.iter().filter(|(included, _)| *included == scope);
        scopes.contains(scope) || including.any(|(_, including)| scopes.contains(*including))
    }
}

/// The scope for a permission on the resources of an endpoint such as `Users`: `users:create`.
#[must_use]
pub fn scope(endpoint: &str, permission: Permission) -> String {
    let mut groups = OWN_GROUPS.into_iter();
    let group = groups.find(|group| group.eq_ignore_ascii_case(endpoint));
    format!("{}:{}", group.unwrap_or("resources"), permission.name())
}

/// Checks that all scopes are in the catalogue, as those of a Role must be.
///
/// # Errors
/// `InvalidValue` naming the first that is not in the catalogue, and the whole catalogue.
pub fn check_scopes<'s>(given: impl IntoIterator<Item = &'s str>) -> Result<()> {
    let mut unknown = given.into_iter().filter(|scope| !is_scope(scope));
    unknown.next().map_or(Ok(()), |scope| {
        let all: Vec<_> = scopes().collect();
        Err(Error::invalid_value(format!(
            "`{}` is not a permission; the permissions are {}",
            excerpt(scope),
            all.join(", ")
        )))
    })
}

fn is_scope(text: &str) -> bool {
    scopes().any(|scope| scope == text)
}

/// Every scope, in the order of the catalogue.
pub fn scopes() -> impl Iterator<Item = &'static str> {
    CATALOGUE
        .iter()
        .flat_map(|(_, scopes)| scopes.iter().copied())
}

/// The resource of `/Scopes`: every scope, grouped by the type it is for.
///
/// **Shape**: `{"schemas":[URN],"scopes":{"users":["users:create",…],…,"access":["access:api"]}}`.
pub(crate) fn catalogue() -> Map<String, Value> {
    let groups: Map<_, _> = CATALOGUE
        .iter()
        .map(|(group, scopes)| ((*group).to_owned(), json!(scopes)))
        .collect();
    Map::from_iter([
        ("schemas".to_owned(), json!([urn::SCOPES])),
        ("scopes".to_owned(), Value::Object(groups)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Registry;

    #[test]
    fn a_role_permits_its_scopes() {
        let check =
            |scopes: &[&str], endpoint: &str, permission: Permission, missing: Option<&str>| {
                let permissions = Permissions::of_role(scopes.iter().copied());
                let refused = permissions.check(endpoint, permission).err();
                let detail = refused.as_ref().map(Error::detail);
                let expected =
                    missing.map(|scope| format!("The credential lacks the permission `{scope}`"));
                assert_eq!(detail, expected.as_deref());
                assert!(refused.is_none_or(|error| error.status() == 403));
            };
        let reader = ["users:read", "users:list", ACCESS];
        check(&reader, "Users", Permission::Read, None);
        check(&reader, "Users", Permission::List, None);
        check(&reader, "Users", Permission::Update, Some("users:update"));
        check(&reader, "Groups", Permission::Create, Some("groups:create"));
        check(&reader, "Scopes", Permission::Read, Some("scopes:read"));
        check(
            &reader,
            "Things",
            Permission::Delete,
            Some("resources:delete"),
        );
        check(&["users:read"], "Users", Permission::Read, Some(ACCESS));
        check(&[], "Users", Permission::Read, Some(ACCESS));
    }

    #[test]
    fn a_role_adds_to_the_permissions_of_a_credential() {
        let mut permissions = Permissions::of_credential(["users:read"]);
        permissions.grant(["users:list"]);
        assert!(permissions.check("Users", Permission::Read).is_ok());
        assert!(permissions.check("Users", Permission::List).is_ok());
        let mut permissions = Permissions::of_role([]);
        permissions.grant(["users:list"]);
        assert!(permissions.check("Users", Permission::List).is_err());
        permissions.grant([ACCESS]);
        assert!(permissions.check("Users", Permission::List).is_ok());
        let mut everything = Permissions::All;
        everything.grant(["users:list"]);
        assert_eq!(everything, Permissions::All);
    }

    #[test]
    fn narrowed_permissions_are_those_that_both_have() {
        let check = |mut permissions: Permissions, scopes: &[&str], expected: &[&str]| {
            permissions.narrow(scopes.iter().copied());
            assert_eq!(permissions, Permissions::of_role(expected.iter().copied()));
        };
        check(Permissions::All, &["users:read"], &["users:read", ACCESS]);
        check(Permissions::All, &[], &[ACCESS]);
        let own = || Permissions::of_credential(["users:read", "groups:read"]);
        check(
            own(),
            &["users:read", "users:list"],
            &["users:read", ACCESS],
        );
        check(own(), &[READ_ME], &[READ_ME, ACCESS]);
        check(
            Permissions::of_role(["users:read"]),
            &["users:read"],
            &["users:read"],
        );
    }

    #[test]
    fn the_feed_has_a_permission_of_its_own() {
        assert!(Permissions::All.check_events().is_ok());
        let check = |permissions: Permissions, missing: Option<&str>| {
            let refused = permissions.check_events().err();
            let detail = refused.as_ref().map(Error::detail).unwrap_or_default();
            assert_eq!(refused.is_some(), missing.is_some(), "{detail}");
            assert!(detail.contains(missing.unwrap_or_default()), "{detail}");
        };
        check(Permissions::of_credential(["events:read"]), None);
        check(Permissions::of_role(["events:read"]), Some(ACCESS));
        check(Permissions::of_user(), Some("events:read"));
        let every_other: Vec<_> = scopes().filter(|scope| *scope != READ_EVENTS).collect();
        check(Permissions::of_credential(every_other), Some("events:read"));
    }

    #[test]
    fn an_endpoint_that_a_tenant_named_like_a_group_of_scopes_shares_the_common_ones() {
        let permissions = Permissions::of_credential(["resources:read"]);
        for endpoint in ["Events", "Access", "Resources", "Things"] {
            assert!(permissions.check(endpoint, Permission::Read).is_ok());
        }
        let permissions = Permissions::of_credential(["events:read"]);
        assert!(permissions.check("Events", Permission::Read).is_err());
    }

    #[test]
    fn scopes_of_a_credential_imply_access() {
        let permissions = Permissions::of_credential(["users:read"]);
        assert!(permissions.check("Users", Permission::Read).is_ok());
        assert!(permissions.check("Users", Permission::List).is_err());
    }

    #[test]
    fn a_credential_without_scopes_may_do_everything() {
        let permissions = Permissions::default();
        assert!(permissions.check("Things", Permission::Delete).is_ok());
        assert!(permissions.check_access().is_ok());
    }

    #[test]
    fn a_credential_of_a_user_reaches_only_that_user_by_default() {
        let permissions = Permissions::of_user();
        assert!(permissions.check_me(Permission::Read).is_ok());
        assert!(permissions.check_me(Permission::Update).is_ok());
        let refused = permissions.check_me(Permission::Delete).unwrap_err();
        assert!(refused.detail().contains("`users:delete`"), "{refused}");
        let groups = CATALOGUE.iter().map(|(group, _)| *group);
        for endpoint in groups.filter(|group| *group != "me") {
            for permission in [
                Permission::Create,
                Permission::Read,
                Permission::List,
                Permission::Update,
                Permission::Delete,
            ] {
                assert!(
                    permissions.check(endpoint, permission).is_err(),
                    "{endpoint}"
                );
            }
        }
    }

    #[test]
    fn permissions_on_all_users_include_the_own_one() {
        let check = |scopes: &[&str], permission: Permission, missing: Option<&str>| {
            let permissions = Permissions::of_credential(scopes.iter().copied());
            let refused = permissions.check_me(permission).err();
            let detail = refused.as_ref().map(Error::detail).unwrap_or_default();
            assert_eq!(refused.is_some(), missing.is_some(), "{scopes:?} {detail}");
            assert!(detail.contains(missing.unwrap_or_default()), "{detail}");
        };
        check(&["users:read"], Permission::Read, None);
        check(&["users:read"], Permission::Update, Some("me:update"));
        check(&["users:update"], Permission::Update, None);
        check(&["users:update"], Permission::Read, Some("me:read"));
        check(&["users:delete"], Permission::Delete, None);
        let of_role = Permissions::of_role(["me:read"]);
        assert!(
            of_role.check_me(Permission::Read).is_err(),
            "without access"
        );
    }

    #[test]
    fn only_own_permissions_can_be_granted() {
        let own = Permissions::of_credential(["roles:update", "users:read"]);
        assert!(own.check_grant(["users:read", ACCESS, READ_ME]).is_ok());
        assert!(own.check_grant([]).is_ok());
        let refused = own.check_grant(["users:read", "users:list", "users:delete"]);
        let refused = refused.unwrap_err();
        assert_eq!(refused.status(), 403);
        assert!(refused.detail().contains("`users:list`"), "{refused}");
        assert!(Permissions::All.check_grant(scopes()).is_ok());
    }

    #[test]
    fn only_scopes_of_the_catalogue_are_taken() {
        assert!(check_scopes(["users:read", "access:api"]).is_ok());
        assert!(check_scopes([]).is_ok());
        for unknown in ["users:Read", "users", "", "things:read"] {
            let error = check_scopes(["users:read", unknown]).unwrap_err();
            assert_eq!(error.kind().scim_type(), Some("invalidValue"));
            assert!(
                error
                    .detail()
                    .starts_with(&format!("`{unknown}` is not a permission"))
            );
            assert!(error.detail().contains("users:create"));
        }
    }

    #[test]
    fn the_published_schemas_list_the_same_scopes() {
        let registry = Registry::builtin();
        let role = registry.schema(urn::ROLE).unwrap();
        let scopes = role.attribute("scopes").unwrap();
        assert!(
            scopes
                .canonical_values
                .iter()
                .map(String::as_str)
                .eq(super::scopes())
        );
        let schema = registry.schema(urn::SCOPES).unwrap();
        let groups = &schema.attribute("scopes").unwrap().sub_attributes;
        let catalogue = catalogue();
        let listed = catalogue["scopes"].as_object().unwrap();
        assert!(listed.keys().eq(groups.iter().map(|group| group.name())));
    }
}
