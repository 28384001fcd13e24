//! What `scim webhook` prints for people.

use std::fmt::Write as _;

use crate::admin::webhook::{
    AddedWebhook, Begin, DeliveryState, RotatedSecret, ShownWebhook, TenantDelivery, Webhook,
};
use crate::admin::{Answer, Time};
use crate::cli::columns::{relative, table, time};

/// The longest part of a URL or of types that a table shows, in characters.
const MAX_CELL: usize = 60;

/// The text of an answer. `now` is in milliseconds since the Unix epoch.
pub(super) fn of(answer: &Answer, now: u64) -> String {
    match answer {
        Answer::AddedWebhook(added) => added_text(added, now),
        Answer::WebhookList(list) => list_text(&list.webhooks, now),
        Answer::ShownWebhook(shown) => shown_text(shown, now),
        Answer::RotatedSecret(rotated) => rotated_text(rotated, now),
        Answer::ResumedWebhook(resumed) => format!("Resumed webhook {}\n", resumed.webhook.id),
        Answer::TestedWebhook(tested) if tested.accepted => {
            format!("The receiver has accepted message {}\n", tested.message)
        }
        Answer::RemovedWebhook(removed) if removed.existed => {
            format!("Removed webhook {}\n", removed.id)
        }
        // The command fails, and the line on stderr says why.
        Answer::TestedWebhook(_) | Answer::RemovedWebhook(_) => String::new(),
    }
}

fn added_text(added: &AddedWebhook, now: u64) -> String {
    let mut text = facts(&added.webhook, now);
    let id = &added.webhook.id;
    // Writing to a string does not fail.
    let _ = match &added.secret {
        Some(secret) => writeln!(
            text,
            "  Secret   {secret}\n\n  Copy the secret now, because it is not shown again. The receiver checks with it \
             that messages are genuine.\n  Send a sample: scim webhook test {id}"
        ),
        None => writeln!(
            text,
            "\n  This webhook exists already. Its secret is not shown again; scim webhook rotate {id} makes another one."
        ),
    };
    for note in &added.notes {
        let _ = writeln!(text, "\n  Note: {note}");
    }
    text
}

fn list_text(webhooks: &[Webhook], now: u64) -> String {
    if webhooks.is_empty() {
        return "There are no webhooks; scim webhook add URL adds one\n".to_owned();
    }
    let rows: Vec<_> = webhooks
        .iter()
        .map(|webhook| {
            [
                webhook.id.as_str().to_owned(),
                cut(receiver(webhook)),
                tenant(webhook).to_owned(),
                cut(&types(webhook)),
                state(webhook, now),
                relative(webhook.created.0, now),
            ]
        })
        .collect();
    table(["ID", "URL", "TENANT", "TYPES", "STATE", "ADDED"], &rows)
}

fn shown_text(shown: &ShownWebhook, now: u64) -> String {
    let mut text = facts(&shown.webhook, now);
    text.push('\n');
    if shown.deliveries.is_empty() {
        text.push_str("  There is no tenant yet\n");
        return text;
    }
    let rows: Vec<_> = shown
        .deliveries
        .iter()
        .map(|delivery| row(delivery, now))
        .collect();
    let header = [
        "TENANT",
        "STATE",
        "BEHIND",
        "POSITION",
        "LAST SUCCESS",
        "NEXT ATTEMPT",
        "LAST FAILURE",
    ];
    text + &table(header, &rows)
}

fn row(delivery: &TenantDelivery, now: u64) -> [String; 7] {
    let when = |at: Option<Time>| at.map_or_else(|| "-".to_owned(), |at| relative(at.0, now));
    let failure = delivery.last_failure.as_ref().map(|failure| {
        let (at, since) = (relative(failure.at.0, now), relative(failure.since.0, now));
        let attempts = failure.attempts;
        match attempts {
            1 => format!("{at}: {}", failure.detail),
            _ => format!(
                "{at}: {} ({attempts} attempts since {since})",
                failure.detail
            ),
        }
    });
    [
        delivery.tenant.as_str().to_owned(),
        word(delivery.state).to_owned(),
        delivery
            .behind
            .map_or_else(|| "?".to_owned(), |behind| behind.to_string()),
        delivery.position.clone().unwrap_or_else(|| "-".to_owned()),
        when(delivery.last_success),
        when(delivery.next_attempt),
        failure.unwrap_or_else(|| "-".to_owned()),
    ]
}

fn rotated_text(rotated: &RotatedSecret, now: u64) -> String {
    let previous = match rotated.previous_until {
        Some(Time(until)) => format!(
            "Until {} ({}), messages are also signed with the previous one.",
            time(until),
            relative(until, now)
        ),
        None => {
            "The previous one signs no more messages, a minute from now at the latest.".to_owned()
        }
    };
    format!(
        "  Secret  {}\n\n  Copy the secret now, because it is not shown again. {previous}\n",
        rotated.secret
    )
}

/// What a webhook is, a line for each fact.
fn facts(webhook: &Webhook, now: u64) -> String {
    let from = match webhook.from {
        Begin::Beginning => "the oldest event",
        Begin::Now => "the events since it was added",
    };
    format!(
        "  Id       {}\n  URL      {}\n  Tenant   {}\n  Types    {}\n  From     {from}\n  State    {}\n",
        webhook.id,
        receiver(webhook),
        tenant(webhook),
        types(webhook),
        state(webhook, now),
    )
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

fn state(webhook: &Webhook, now: u64) -> String {
    webhook.disabled.as_ref().map_or_else(
        || "active".to_owned(),
        |disabled| {
            format!(
                "disabled {}: {}",
                relative(disabled.at.0, now),
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

/// A text that is not longer than a cell of a table may be.
fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CELL {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(MAX_CELL - 1).collect();
    beginning + "…"
}
