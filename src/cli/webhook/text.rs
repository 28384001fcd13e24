//! What `scim webhook` prints for people.

use crate::admin::webhook::{
    AddedWebhook, Begin, DeliveryState, RemovedWebhook, ResumedWebhook, RotatedSecret,
    ShownWebhook, TenantDelivery, TestedWebhook, Webhook,
};
use crate::cli::columns::{Table, facts};
use crate::cli::view::View;

pub(super) fn tested(tested: &TestedWebhook) -> String {
    match tested.accepted {
        true => format!("The receiver has accepted message {}\n", tested.message),
        // The command fails, and the line on stderr says why.
        false => String::new(),
    }
}

pub(super) fn resumed(resumed: &ResumedWebhook) -> String {
    format!("Resumed webhook {}\n", resumed.webhook.id)
}

pub(super) fn removed(removed: &RemovedWebhook) -> String {
    match removed.existed {
        true => format!("Removed webhook {}\n", removed.id),
        // The command fails, and the line on stderr says why.
        false => String::new(),
    }
}

pub(super) fn added(added: &AddedWebhook, view: &View) -> String {
    let (id, place) = (&added.webhook.id, &view.place);
    let mut lines = about(&added.webhook, view);
    let next = match &added.secret {
        Some(secret) => {
            lines.push(("Secret", secret.clone()));
            format!(
                "Copy the secret now, because it is not shown again.\n  The receiver checks with it that messages are \
                 genuine.\n  Send a sample: scim webhook test {id}{place}"
            )
        }
        None => format!(
            "This webhook exists already. Its secret is not shown again.\n  To make another one: \
             scim webhook rotate {id}{place}"
        ),
    };
    let notes = added.notes.iter().map(|note| format!("\n  Note: {note}\n"));
    format!(
        "{}\n  {next}\n{}",
        facts(&lines, view.width),
        notes.collect::<String>()
    )
}

pub(super) fn list(webhooks: &[Webhook], view: &View) -> String {
    if webhooks.is_empty() {
        let place = &view.place;
        return format!("There are no webhooks; scim webhook add URL{place} adds one\n");
    }
    let mut table = Table::new(["ID", "STATE", "ADDED", "TENANT"]);
    for webhook in webhooks {
        let state = match webhook.disabled {
            None => "active",
            Some(_) => "disabled",
        };
        let cells = [
            webhook.id.as_str().to_owned(),
            state.to_owned(),
            view.relative(webhook.created),
            tenant(webhook).to_owned(),
        ];
        let types = (!webhook.types.is_empty()).then(|| webhook.types.join(", "));
        let notes = [Some(receiver(webhook).to_owned()), types];
        table.row_with_notes(cells, notes.into_iter().flatten());
    }
    table.to_text(view.width)
}

pub(super) fn shown(shown: &ShownWebhook, view: &View) -> String {
    let about = facts(&about(&shown.webhook, view), view.width);
    if shown.deliveries.is_empty() {
        return format!("{about}\n  There is no tenant yet\n");
    }
    let header = ["TENANT", "STATE", "BEHIND", "LAST SUCCESS", "NEXT ATTEMPT"];
    let mut table = Table::new(header);
    for delivery in &shown.deliveries {
        let behind = delivery.behind.map(|behind| behind.to_string());
        let cells = [
            delivery.tenant.as_str().to_owned(),
            word(delivery.state).to_owned(),
            behind.unwrap_or_else(|| "?".to_owned()),
            view.relative_or_never(delivery.last_success),
            view.relative_or_never(delivery.next_attempt),
        ];
        table.row_with_notes(cells, failure(delivery, view));
    }
    format!("{about}\n{}", table.to_text(view.width))
}

/// The lines about the failures of a delivery since its last success.
fn failure(delivery: &TenantDelivery, view: &View) -> Vec<String> {
    let Some(failure) = &delivery.last_failure else {
        return Vec::new();
    };
    let (at, first) = (view.relative(failure.at), view.relative(failure.since));
    let when = match failure.attempts {
        1 => format!("failed {at}:"),
        attempts => format!("failed {at} ({attempts} attempts, the first {first}):"),
    };
    vec![when, failure.detail.clone()]
}

pub(super) fn rotated(rotated: &RotatedSecret, view: &View) -> String {
    let secret = facts(&[("Secret", rotated.secret.clone())], view.width);
    let previous = match rotated.previous_until {
        Some(until) => format!(
            "Messages are also signed with the previous one until\n  {}.",
            view.exactly(until)
        ),
        None => {
            "The previous one signs no more messages, a minute from now at the latest.".to_owned()
        }
    };
    format!("{secret}\n  Copy the secret now, because it is not shown again.\n  {previous}\n")
}

/// What a webhook is, a line for each fact.
fn about(webhook: &Webhook, view: &View) -> Vec<(&'static str, String)> {
    let from = match webhook.from {
        Begin::Beginning => "the oldest event",
        Begin::Now => "the events since it was added",
    };
    vec![
        ("Id", webhook.id.to_string()),
        ("URL", receiver(webhook).to_owned()),
        ("Tenant", tenant(webhook).to_owned()),
        ("Types", types(webhook)),
        ("From", from.to_owned()),
        ("Added", view.relative(webhook.created)),
        ("State", state(webhook, view)),
    ]
}

fn receiver(webhook: &Webhook) -> &str {
    webhook.url.as_deref().unwrap_or("EventBridge")
}

fn tenant(webhook: &Webhook) -> &str {
    webhook
        .tenant
        .as_ref()
        .map_or("every tenant", |tenant| tenant.as_str())
}

fn types(webhook: &Webhook) -> String {
    match webhook.types.as_slice() {
        [] => "all".to_owned(),
        types => types.join(", "),
    }
}

fn state(webhook: &Webhook, view: &View) -> String {
    webhook.disabled.as_ref().map_or_else(
        || "active".to_owned(),
        |disabled| {
            format!(
                "disabled {}: {}",
                view.relative(disabled.at),
                disabled.reason
            )
        },
    )
}

fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::New => "new",
        DeliveryState::UpToDate => "up to date",
        DeliveryState::Behind => "behind",
        DeliveryState::Retrying => "retrying",
        DeliveryState::Failed => "failed",
        DeliveryState::Held => "held",
    }
}
