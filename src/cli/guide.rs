//! `scim guide`: what the administrator of an identity provider types where.

use std::fmt::Write as _;

use clap::Args;

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{facts, hanging, paragraph};
use super::play::server_url;
use super::provider_arg::ProviderArg;
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::tenant::{ShowTenant, TenantUrls};
use crate::guide::{Guide, Values};
use crate::http::PublicUrl;
use crate::identity::TenantId;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    scim guide okta acme\n  \
    scim guide entra acme --url https://id.example.com")]
pub(super) struct GuideArgs {
    /// The identity provider
    #[arg(value_enum)]
    provider: ProviderArg,
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The URL of the service, if it is not that of the deployment
    #[arg(long, value_name = "URL", value_parser = server_url)]
    url: Option<PublicUrl>,
    #[command(flatten)]
    ask: AskArgs,
}

impl GuideArgs {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let urls = match &self.url {
            Some(url) => TenantUrls::at(&url.root_url(), &self.tenant),
            None => self.urls().await?,
        };
        let (tenant, label) = (&self.tenant, self.provider.name());
        let place = self.ask.deployment.to_text();
        let values = Values {
            base_url: urls.tenant_scim2,
            v1_base_url: urls.tenant_scim1,
            token: format!("what `scim token create {tenant} --label {label}{place}` prints"),
        };
        let guide = Guide::of(label, &values);
        let guide =
            guide.ok_or_else(|| CommandError::new("There is no guide for this provider"))?;
        self.ask.print(&guide, |view| text(&guide, tenant, view))
    }
}

impl GuideArgs {
    /// The base URLs of the tenant, which must exist.
    async fn urls(&self) -> Result<TenantUrls, CommandError> {
        let operator = self.ask.operator().await?;
        let show = ShowTenant {
            tenant: self.tenant.clone(),
        };
        let shown = operator.ask(&show).await?;
        let of_stack = || {
            let url = operator.public_url()?;
            Some(TenantUrls::at(&url.root_url(), &self.tenant))
        };
        shown.urls.or_else(of_stack).ok_or_else(|| {
            CommandError::usage(
                "The URL of this deployment is not known here: give it with --url, or name the stack with --stack and \
                 no table",
            )
        })
    }
}

fn text(guide: &Guide, tenant: &TenantId, view: &View) -> String {
    let Guide {
        provider,
        protocol,
        steps,
        notes,
    } = guide;
    let mut text = format!("{provider}, for tenant {tenant} (SCIM {protocol})\n");
    for (number, step) in (1..).zip(steps) {
        // Writing to a string does not fail.
        let screen = hanging(&step.screen, &format!("{number}. "), "   ", view.width);
        let _ = write!(text, "\n{screen}");
        let lines: Vec<_> = step
            .enter
            .iter()
            .map(|(field, value)| (field.as_str(), value.clone()))
            .collect();
        text.push_str(&facts(&lines, view.width));
        if let Some(then) = &step.then {
            text.push_str(&paragraph(then, "  ", view.width));
        }
    }
    text.push('\n');
    for note in notes {
        text.push_str(&paragraph(note, "", view.width));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guide_has_its_screens_in_order_with_fields_below() {
        let guide = Guide {
            provider: "Okta".to_owned(),
            protocol: "2.0".to_owned(),
            steps: vec![
                crate::guide::Step {
                    screen: "General".to_owned(),
                    enter: vec![
                        ("URL".to_owned(), "https://a".to_owned()),
                        ("Mode".to_owned(), "on".to_owned()),
                    ],
                    then: Some("Save.".to_owned()),
                },
                crate::guide::Step {
                    screen: "Groups".to_owned(),
                    enter: Vec::new(),
                    then: None,
                },
            ],
            notes: vec!["It never deletes.".to_owned()],
        };
        let view = View {
            now: 0,
            width: Some(80),
            place: String::new(),
        };
        let tenant = TenantId::parse("acme").unwrap();
        assert_eq!(
            text(&guide, &tenant, &view),
            "Okta, for tenant acme (SCIM 2.0)\n\n1. General\n  URL   https://a\n  Mode  on\n  Save.\n\n2. Groups\n\n\
             It never deletes.\n"
        );
    }
}
