//! Filters of 1.1 as filters of 2.0 (1.1 API §3.2.2.1, §3.8).

use super::{View, names};
use crate::error::{Error, Result, excerpt};
use crate::filter::Filter;
use crate::path::AttributePath;
use crate::profile::Reading;

/// Reads a filter of 1.1 and returns it with 2.0 paths.
///
/// # Errors
/// `InvalidFilter` with the byte offset in the text that was sent.
pub(super) fn filter(view: View<'_>, text: &str, reading: &mut Reading<'_>) -> Result<Filter> {
    let filter = Filter::parse(text, reading)?;
    renamed(view, filter)
}

fn renamed(view: View<'_>, filter: Filter) -> Result<Filter> {
    let all = |parts: Vec<Filter>| {
        let parts = parts.into_iter();
        parts.map(|part| renamed(view, part)).collect::<Result<_>>()
    };
    Ok(match filter {
        Filter::Compare { path, op, value } => Filter::Compare {
            path: renamed_path(view, &path)?,
            op,
            value,
        },
        Filter::Present(path) => Filter::Present(renamed_path(view, &path)?),
        // Names inside the brackets are sub-attributes, which have the same names in 2.0.
        Filter::ValuePath { path, filter } => Filter::ValuePath {
            path: renamed_path(view, &path)?,
            filter,
        },
        Filter::And(parts) => Filter::And(all(parts)?),
        Filter::Or(parts) => Filter::Or(all(parts)?),
        Filter::Not(part) => Filter::Not(Box::new(renamed(view, *part)?)),
    })
}

fn renamed_path(view: View<'_>, path: &AttributePath) -> Result<AttributePath> {
    let renamed = names::path_to_v2(view, path.as_str());
    AttributePath::parse(&renamed)
        .ok_or_else(|| Error::invalid_filter(format!("`{}` is not an attribute", excerpt(path))))
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::*;
    use crate::profile::Rules;
    use crate::schema::Registry;

    fn view(name: &str, dialect: Dialect) -> View<'static> {
        View {
            dialect,
            resource_type: Registry::builtin().resource_type(name).unwrap(),
        }
    }

    #[test]
    fn urns_of_1_1_become_paths_of_2_0() {
        let rules = Rules::default();
        let check = |text: &str, expected: &str| {
            let view = view("User", Dialect::General);
            let filter = filter(view, text, &mut Reading::new(&rules));
            assert_eq!(filter.unwrap().to_string(), expected, "{text}");
        };
        check(r#"USERNAME Eq "john""#, r#"USERNAME eq "john""#);
        check(
            r#"urn:scim:schemas:core:1.0:userName sw "J" and (title pr or nickName pr)"#,
            r#"userName sw "J" and (title pr or nickName pr)"#,
        );
        check(
            r#"urn:scim:schemas:extension:enterprise:1.0:manager.managerId eq "26""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "26""#,
        );
        check(
            r#"not (urn:scim:schemas:core:1.0:emails[type eq "work"])"#,
            r#"not (emails[type eq "work"])"#,
        );
    }

    #[test]
    fn a_broken_filter_is_refused_at_its_place() {
        let rules = Rules::default();
        let view = view("User", Dialect::General);
        let error = filter(view, "userName regex \"x\"", &mut Reading::new(&rules)).unwrap_err();
        assert_eq!(error.kind().scim_type(), Some("invalidFilter"));
    }
}
