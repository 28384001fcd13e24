//! What `scim tenant` prints for people.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::admin::tenant::{
    CreatedTenant, ShownTenant, StateName, TenantEntry, TenantList, TenantRules, TenantUrls,
};
use crate::cli::columns::{Table, facts, number, paragraph, printable};
use crate::cli::token::no_tokens;
use crate::cli::view::View;
use crate::protocol::Error;
use crate::protocol::profile::Switches;

pub(super) fn list(list: &TenantList, view: &View) -> String {
    let TenantList {
        tenants,
        unreadable,
        ..
    } = list;
    let unreadable = unreadable.iter().map(|key| {
        let text = format!("An item of the list of tenants cannot be read: {key}");
        paragraph(&printable(&text), "", view.width)
    });
    let unreadable: String = unreadable.collect();
    if tenants.is_empty() && !unreadable.is_empty() {
        return unreadable;
    }
    if tenants.is_empty() {
        let place = &view.place;
        return format!("There are no tenants; scim tenant create NAME{place} creates one\n");
    }
    let mut table = Table::new(["TENANT", "STATE", "CREATED"]);
    for entry in tenants {
        let cells = [
            entry.tenant.to_string(),
            state(entry).to_owned(),
            view.relative_or_never(entry.created),
        ];
        table.row_with_notes(cells, note(entry, view));
    }
    table.to_text(view.width) + &unreadable
}

/// What the customer is shown.
fn addresses(urls: &TenantUrls) -> [(&'static str, String); 3] {
    [
        ("SCIM 2.0", urls.tenant_scim2.clone()),
        ("SCIM 1.1", urls.tenant_scim1.clone()),
        ("Ionic", urls.ionic.clone()),
    ]
}

pub(super) fn created(created: &CreatedTenant, view: &View) -> String {
    let (tenant, place) = (&created.tenant, &view.place);
    let made = match created.existed {
        true => "exists already, with the same rules",
        false => "is created",
    };
    let urls = created.urls.as_ref();
    let urls = urls.map(|urls| facts(&addresses(urls), view.width));
    format!(
        "The tenant {tenant} {made}. Next, create a token: scim token create {tenant}{place}\n{}",
        urls.unwrap_or_default()
    )
}

fn state(entry: &TenantEntry) -> &'static str {
    match entry.state {
        StateName::Active => "active",
        StateName::Suspended => "suspended",
        StateName::Deleting => "deleted",
        StateName::Purging => "being purged",
        StateName::Other => "other",
    }
}

/// What there is to say of a tenant that is not active.
fn note(entry: &TenantEntry, view: &View) -> Option<String> {
    let purged = entry
        .purge_at
        .map(|at| format!("everything of it is removed {}", view.relative(at)));
    let suspended = entry.suspended.map(|at| {
        let since = view.relative(at);
        match &entry.reason {
            Some(reason) => format!("suspended {since}: {reason}"),
            None => format!("suspended {since}"),
        }
    });
    let notes: Vec<_> = [purged, suspended].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

pub(super) fn rules(rules: &TenantRules, view: &View) -> String {
    let lines = [
        ("Tenant", rules.tenant.to_string()),
        ("Profile", word(&rules.profile)),
        ("Switches", changed_switches(&rules.switches)),
    ];
    facts(&lines, view.width)
}

pub(super) fn shown(shown: &ShownTenant, view: &View) -> String {
    let ShownTenant { entry, users, .. } = shown;
    let mut state = state(entry).to_owned();
    if let Some(note) = note(entry, view) {
        state = format!("{state} ({note})");
    }
    let mut lines = vec![("Tenant", entry.tenant.to_string()), ("State", state)];
    lines.extend(entry.created.map(|at| ("Created", view.relative(at))));
    if let Some(urls) = &shown.urls {
        lines.extend(addresses(urls));
        lines.push(("Also at", format!("{} {}", urls.scim2, urls.scim1)));
    }
    let active = users.active.map_or_else(String::new, |active| {
        format!(", {} active in the feed", number(active))
    });
    let refused: Vec<_> = shown
        .refusals
        .statuses
        .iter()
        .map(|(status, count)| format!("{count} with {status}"))
        .collect();
    let refused = if refused.is_empty() {
        "none in the last day".to_owned()
    } else {
        refused.join(", ")
    };
    lines.extend([
        ("Profile", word(&shown.profile)),
        ("Switches", changed_switches(&shown.switches)),
        ("Users", format!("{}{active}", number(users.total))),
        ("Groups", number(shown.groups)),
        ("First request", view.relative_or_never(shown.first_request)),
        ("Last request", view.relative_or_never(shown.last_request)),
        ("Refused", refused),
    ]);
    let credentials = &shown.credentials;
    if credentials.is_empty() && !matches!(entry.state, StateName::Active | StateName::Suspended) {
        return facts(&lines, view.width);
    }
    if credentials.is_empty() {
        let next = no_tokens(&entry.tenant, view);
        return facts(&lines, view.width) + "\n" + &next;
    }
    let mut table = Table::new(["TOKEN", "KIND", "LAST USED", "EXPIRES", "LABEL"]).may_cut("LABEL");
    for credential in credentials {
        let expires = credential.expires;
        table.row([
            credential.id.to_string(),
            credential.kind.clone(),
            view.relative_or_never(credential.last_used),
            expires.map_or_else(|| "never".to_owned(), |at| view.relative(at)),
            credential.label.clone(),
        ]);
    }
    facts(&lines, view.width) + "\n" + &table.to_text(view.width)
}

/// The switches that do not have their defaults.
fn changed_switches(switches: &Map<String, Value>) -> String {
    let defaults = serde_json::to_value(Switches::default()).unwrap_or_default();
    let changed = switches
        .iter()
        .filter(|(name, value)| defaults[name.as_str()] != **value);
    let changed: Vec<_> = changed
        .map(|(name, value)| format!("{name}={}", word(value)))
        .collect();
    match changed.is_empty() {
        true => "all as by default".to_owned(),
        false => changed.join(", "),
    }
}

/// A value as it is given to a command.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(error) => Error::internal(error).to_string(),
    }
}
