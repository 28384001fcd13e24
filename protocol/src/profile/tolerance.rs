//! The catalogue of tolerances. Each has its name in logs, what clients send, which clients send it,
//! how it is read, and where the `strict` profile refuses it. `docs/tolerances.md` is written from it.

/// One leniency towards what clients send. Each applies in the `default` profile only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tolerance {
    /// The strings `"True"` and `"false"` are read as booleans.
    StringBooleans,
    /// `[{"value": x}]` or `[x]` is read as a single value.
    WrappedSingleValue,
    /// A single object or string is read as an array of one.
    UnwrappedMultiValue,
    /// A bare string is read as the `value` of a complex value: members, emails, manager.
    BareComplexValue,
    /// Attributes and schema URNs that no schema defines are ignored.
    UnknownAttributes,
    /// The base URN, or all of `schemas`, is missing from a body.
    MissingSchemas,
    /// An extension's attribute is named without its URN.
    BareExtensionNames,
    /// Members of a body or of a PATCH value are paths: `name.givenName`, `urn:…:User:department`.
    PathKeys,
    /// Strings in filters have no quotes.
    UnquotedFilterValues,
    /// A PATCH whose value filter matches nothing creates the element.
    CreatedElements,
    /// A `remove` whose filter matches nothing succeeds.
    RemovedNothing,
    /// A `remove` of a multi-valued attribute names the values to remove. Every profile honours them,
    /// because removing everything instead would destroy data. The use is recorded in the default
    /// profile.
    RemovedValues,
    /// Read-only attributes in the value of a PATCH without path are ignored.
    ReadOnlyInPatchValue,
    /// A `displayName` is read as the `display` of a multi-valued attribute's element.
    DisplayNameForDisplay,
    /// A JSON document in a string is read as the complex value it spells.
    JsonInString,
    /// A read-only name beside a reference, `manager.displayName`, is kept as the client gave it.
    ReferenceDisplay,
    /// PATCH operations are written `Add`, `Replace`, `Remove`.
    OperationCase,
    /// A PATCH, search or bulk body lacks its message URN.
    MissingMessageUrn,
    /// An address names its country by something other than a code of two letters.
    CountryNames,
    /// Several elements are marked `primary`; only the first one stays primary.
    SeveralPrimaries,
    /// Blank text is read as no value: in references, `manager`, e-mail addresses and passwords.
    BlankText,
    /// The text of a reference is not a URI.
    ReferenceText,
    /// A number or a boolean is read as the text that spells it.
    NumberForText,
    /// `managerId`, the name in SCIM 1.1, is read as the manager's `value`.
    ManagerId,
    /// `type` of a member is blank or `direct`.
    MemberType,
    /// The `path` of a PATCH operation is blank and is read as absent.
    BlankPath,
    /// A PATCH path names a sub-attribute without its attribute: `givenName`.
    BareSubAttributes,
    /// A PATCH path has a filter after a single-valued attribute: `manager[value eq "x"]`.
    FilteredSingleValue,
    /// A `replace` of elements that a filter finds keeps the sub-attributes that its value does not
    /// name.
    MergedElements,
    /// A `Content-Type` names a charset other than UTF-8; the body is read as UTF-8.
    ContentCharset,
    /// A JSON body is labelled `text/plain`.
    TextPlain,
    /// The fixed words of a path are written in another case: `/users`, `/bulk`.
    EndpointCase,
    /// A new user of the Ionic API has no `userName`.
    DerivedUserName,
    /// The Ionic API's `enabled` is asked about users without `active`.
    EnabledByDefault,
}

/// The description of a tolerance for people. The texts are Markdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToleranceDescription {
    /// The tolerance.
    pub tolerance: Tolerance,
    /// Its name in logs.
    pub name: &'static str,
    /// What is sent.
    pub sent: &'static str,
    /// Which clients send it.
    pub by: &'static str,
    /// How it is read.
    pub read: &'static str,
    /// Where the `strict` profile refuses it, and with which error.
    pub strict: &'static str,
}

impl Tolerance {
    /// Every tolerance, in the order of the variants.
    pub const ALL: [ToleranceDescription; 34] = [
        ToleranceDescription {
            tolerance: Self::StringBooleans,
            name: "stringBooleans",
            sent: "`\"True\"` or `\"false\"` for a boolean, in a body, a PATCH value or a filter",
            by: "Entra ID, OneLogin, Saviynt",
            read: "as that boolean; it is stored and answered as a JSON boolean",
            strict: "400 `invalidValue`, in a filter 400 `invalidFilter`",
        },
        ToleranceDescription {
            tolerance: Self::WrappedSingleValue,
            name: "wrappedSingleValue",
            sent: "`[{\"$ref\":null,\"value\":\"X\"}]` or `[\"X\"]` for a single-valued attribute",
            by: "Entra ID",
            read: "as the one value in it",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::UnwrappedMultiValue,
            name: "unwrappedMultiValue",
            sent: "one object or string for a multi-valued attribute; in `.search` one string for a list of names",
            by: "OneLogin, Entra ID",
            read: "as an array of one",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::BareComplexValue,
            name: "bareComplexValue",
            sent: "a string for an object that has a `value`: an e-mail address, a member's id, a manager's id",
            by: "WSO2 Identity Server, Entra ID",
            read: "as the object's `value`",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::UnknownAttributes,
            name: "unknownAttributes",
            sent: "attributes, and URNs in `schemas`, that no schema of the tenant defines",
            by: "Entra ID, OneLogin, Saviynt, clients with extensions of their own",
            read: "they are left out, and never stored",
            strict: "400 `invalidSyntax`",
        },
        ToleranceDescription {
            tolerance: Self::MissingSchemas,
            name: "missingSchemas",
            sent: "a body whose `schemas` is missing, empty, or lacks the URN of the base schema",
            by: "Okta, OneLogin",
            read: "as the base schema of the endpoint, and the extensions whose attributes are given",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::BareExtensionNames,
            name: "bareExtensionNames",
            sent: "`department` or `manager` without the URN of its extension, in a body, a path, a filter or `attributes`",
            by: "Entra ID",
            read: "as the attribute of the one extension that has it; a core attribute of that name takes precedence",
            strict: "400 `invalidSyntax`, as a PATCH path 400 `invalidPath`, in a filter 400 `invalidFilter`",
        },
        ToleranceDescription {
            tolerance: Self::PathKeys,
            name: "pathKeys",
            sent: "members that are paths: `name.givenName`, `urn:…:User:department`, `emails[type eq \"work\"].value`",
            by: "Entra ID",
            read: "as the attribute that the path names",
            strict: "400 `invalidSyntax`",
        },
        ToleranceDescription {
            tolerance: Self::UnquotedFilterValues,
            name: "unquotedFilterValues",
            sent: "`externalId eq jyoung`, a filter with a word instead of a string",
            by: "authentik, samples of Entra ID",
            read: "as that string",
            strict: "400 `invalidFilter`",
        },
        ToleranceDescription {
            tolerance: Self::CreatedElements,
            name: "createdElements",
            sent: "a PATCH `add` or `replace` of `emails[type eq \"work\"].value` where no element matches",
            by: "Entra ID",
            read: "one element is created from the filter's `eq` terms and the value",
            strict: "400 `noTarget`",
        },
        ToleranceDescription {
            tolerance: Self::RemovedNothing,
            name: "removedNothing",
            sent: "a PATCH `remove` whose filter matches no element",
            by: "Entra ID, Okta",
            read: "it succeeds and changes nothing",
            strict: "400 `noTarget`",
        },
        ToleranceDescription {
            tolerance: Self::RemovedValues,
            name: "removedValues",
            sent: "a PATCH `remove` of `members` with the members to remove in `value`",
            by: "Entra ID, OneLogin",
            read: "only those are removed; an empty list removes nothing",
            strict: "nowhere: to remove all members instead would destroy data",
        },
        ToleranceDescription {
            tolerance: Self::ReadOnlyInPatchValue,
            name: "readOnlyInPatchValue",
            sent: "`id`, `meta` or `groups` inside the value of a PATCH without path",
            by: "Okta, authentik",
            read: "they are ignored, even with another id",
            strict: "400 `mutability`",
        },
        ToleranceDescription {
            tolerance: Self::DisplayNameForDisplay,
            name: "displayNameForDisplay",
            sent: "`displayName` inside an element of `roles`, `entitlements` and others",
            by: "Entra ID",
            read: "as the element's `display`",
            strict: "400 `invalidSyntax`",
        },
        ToleranceDescription {
            tolerance: Self::JsonInString,
            name: "jsonInString",
            sent: "a role whose value is a JSON document in a string",
            by: "Entra ID",
            read: "as the sub-attributes that the document spells out",
            strict: "nowhere: it stays text",
        },
        ToleranceDescription {
            tolerance: Self::ReferenceDisplay,
            name: "referenceDisplay",
            sent: "the read-only name beside a reference: `manager.displayName`",
            by: "OneLogin, SCIM 1.1 clients",
            read: "it is kept as given",
            strict: "nowhere: it is ignored, like everything read-only in a body",
        },
        ToleranceDescription {
            tolerance: Self::OperationCase,
            name: "operationCase",
            sent: "`\"op\":\"Replace\"`",
            by: "Entra ID",
            read: "as `replace`",
            strict: "400 `invalidSyntax`",
        },
        ToleranceDescription {
            tolerance: Self::MissingMessageUrn,
            name: "missingMessageUrn",
            sent: "a PATCH, `.search` or bulk body whose `schemas` lacks the message's URN",
            by: "Okta and home-made clients",
            read: "as the message that belongs to the URL and method",
            strict: "400 `invalidSyntax`",
        },
        ToleranceDescription {
            tolerance: Self::CountryNames,
            name: "countryNames",
            sent: "a country's name, or a code of three letters, in `addresses.country`",
            by: "Entra ID, directories that keep names",
            read: "it is kept as given",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::SeveralPrimaries,
            name: "severalPrimaries",
            sent: "`\"primary\":true` on several values of one attribute",
            by: "PingOne, PingFederate",
            read: "the first of them stays primary, and the others become false",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::BlankText,
            name: "blankText",
            sent: "blank text for a reference such as `profileUrl`, for `manager`, an e-mail address or `password`",
            by: "Saviynt, OneLogin",
            read: "as no value; in a PATCH `replace` it clears the attribute",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::ReferenceText,
            name: "referenceText",
            sent: "text that is no URI for a reference such as `profileUrl`",
            by: "Saviynt, OneLogin",
            read: "it is kept as given",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::NumberForText,
            name: "numberForText",
            sent: "a JSON number or boolean for a text attribute: `\"employeeNumber\":701984`",
            by: "clients that build JSON from typed records",
            read: "as the text that spells it",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::ManagerId,
            name: "managerId",
            sent: "`managerId`, the name of SCIM 1.1, inside `manager`, in a body or a PATCH path",
            by: "OneLogin",
            read: "as the manager's `value`",
            strict: "400 `invalidSyntax`, as a PATCH path 400 `invalidPath`",
        },
        ToleranceDescription {
            tolerance: Self::MemberType,
            name: "memberType",
            sent: "a member whose `type` is blank or `direct`",
            by: "clients that copy a user's `groups`",
            read: "as a member without `type`",
            strict: "400 `invalidValue`",
        },
        ToleranceDescription {
            tolerance: Self::BlankPath,
            name: "blankPath",
            sent: "`\"path\":\"\"` in a PATCH operation",
            by: "home-made clients",
            read: "as an operation without path",
            strict: "400 `invalidPath`",
        },
        ToleranceDescription {
            tolerance: Self::BareSubAttributes,
            name: "bareSubAttributes",
            sent: "a PATCH path that names only a sub-attribute of `name`: `givenName`",
            by: "Grouper",
            read: "as `name.givenName`: the sub-attribute of the one single-valued attribute of the base schema that has it; an attribute of that name takes precedence",
            strict: "400 `invalidPath`",
        },
        ToleranceDescription {
            tolerance: Self::FilteredSingleValue,
            name: "filteredSingleValue",
            sent: "a PATCH path with a filter after a single-valued attribute: `manager[value eq \"26118915\"]`",
            by: "Entra ID",
            read: "as the value if it matches; otherwise there is nothing to do",
            strict: "400 `invalidPath`",
        },
        ToleranceDescription {
            tolerance: Self::MergedElements,
            name: "mergedElements",
            sent: "a PATCH `replace` of `emails[type eq \"work\"]` with some of an element's sub-attributes, or with a string",
            by: "Entra ID",
            read: "the sub-attributes that it does not name stay; a string is the `value`",
            strict: "the element is replaced as a whole, as RFC 7644 §3.5.2.3 says",
        },
        ToleranceDescription {
            tolerance: Self::ContentCharset,
            name: "contentCharset",
            sent: "`Content-Type: application/scim+json; charset=ISO-8859-1`, or any other charset",
            by: "Java clients (REST Assured and others label JSON with their default charset)",
            read: "the charset is ignored, and the body is read as UTF-8, the encoding of JSON",
            strict: "415",
        },
        ToleranceDescription {
            tolerance: Self::TextPlain,
            name: "textPlain",
            sent: "JSON with `Content-Type: text/plain`",
            by: "DummyIDP, and other web pages that post text with `fetch`",
            read: "as JSON, except with Basic credentials: any web page could make a browser that remembers them send such a body",
            strict: "415",
        },
        ToleranceDescription {
            tolerance: Self::EndpointCase,
            name: "endpointCase",
            sent: "`/users`, `/bulk`, `/serviceproviderconfig`: a path below the base URL in another case, also in a bulk operation",
            by: "home-made clients",
            read: "as the endpoint of that name; answers show the canonical spelling",
            strict: "404",
        },
        ToleranceDescription {
            tolerance: Self::DerivedUserName,
            name: "derivedUserName",
            sent: "a new user without `userName`, on the Ionic base",
            by: "clients of the Ionic API",
            read: "its `userName` is `domainUpn`, else the first e-mail address, else `externalId`; a later PUT or PATCH that clears `userName` leaves it as it is",
            strict: "nowhere: the Ionic base is read by the `default` profile",
        },
        ToleranceDescription {
            tolerance: Self::EnabledByDefault,
            name: "enabledByDefault",
            sent: "`enabled=true`, the Ionic API's filter for active users, if users have no `active`",
            by: "clients of the Ionic API",
            read: "`enabled=true` finds users whose `active` is true or absent, `enabled=false` those whose `active` is false; a `filter` on `active` finds what it names",
            strict: "nowhere: the Ionic base is read by the `default` profile",
        },
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_tolerance_is_listed_once_and_in_order() {
        for (position, described) in Tolerance::ALL.iter().enumerate() {
            assert_eq!(described.tolerance as usize, position, "{}", described.name);
        }
        let names: BTreeSet<_> = Tolerance::ALL.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), Tolerance::ALL.len());
    }

    /// The compiler does not count variants, so they are counted in the source. A tolerance without a
    /// description would be missing in the log and on the page.
    #[test]
    fn every_variant_is_described() {
        let source = include_str!("tolerance.rs");
        let (_, rest) = source.split_once("pub enum Tolerance {").unwrap();
        let (variants, _) = rest.split_once("\n}").unwrap();
        let variants = variants.lines().map(str::trim);
        let variants = variants.filter(|line| !line.is_empty() && !line.starts_with("//"));
        assert_eq!(variants.count(), Tolerance::ALL.len());
    }
}
