//! Errors of translated requests, as a client of 1.1 can understand them.

use super::names;
use crate::error::Error;

/// The error of a request that was translated into one of 2.0.
///
/// The place `Operations[2]` is left out, because the client has sent no PatchOp message. URNs and names
/// become those of 1.1.
#[must_use]
pub fn error_to_v1(error: Error) -> Error {
    error.without_place().reworded(names::text_to_v1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::urn;

    #[test]
    fn an_error_has_no_position_and_the_names_of_1_1() {
        let check = |detail: &str, expected: &str| {
            let error = Error::invalid_value(detail).at("Operations[3]");
            let translated = error_to_v1(error);
            assert_eq!(translated.detail(), expected);
            assert_eq!(translated.status(), 400);
        };
        check("`title` must be a string", "`title` must be a string");
        check(
            &format!("`{}:manager.value` must be a string", urn::ENTERPRISE_USER),
            &format!(
                "`{}:manager.managerId` must be a string",
                urn::ENTERPRISE_1_1
            ),
        );
        check(
            &format!("`{}:description` is long", urn::DESCRIBED_GROUP),
            "`description` is long",
        );
        check(
            &format!("`schemas` must list {}", urn::USER),
            &format!("`schemas` must list {}", urn::CORE_1_1),
        );
    }

    #[test]
    fn the_cause_of_an_error_stays_with_it() {
        let error = error_to_v1(Error::internal("table scim-prod is on fire"));
        assert_eq!(error.causes(), "table scim-prod is on fire");
    }
}
