//! What `scim webhook` prints for people.

use std::fmt::Write as _;
use std::iter;

use crate::admin::webhook::{
    AddedWebhook, Begin, DeliveryState, RotatedSecret, ShownWebhook, TenantDelivery, Webhook,
};
use crate::admin::{Answer, Time};
use crate::cli::columns::{relative, table, time};

/// The longest URL or list of types below a row of a table, in characters: a terminal has 80 columns.
const MAX_NOTE: usize = 78;

/// The text of an answer. `now` is in milliseconds since the Unix epoch. `place` names the deployment in commands,
/// as [`DeploymentArgs::to_text`](crate::cli::deployment_args::DeploymentArgs::to_text) has it.
pub(super) fn of(answer: &Answer, now: u64, place: &str) -> String {
    match answer {
        Answer::AddedWebhook(added) => added_text(added, now, place),
        Answer::WebhookList(list) => list_text(&list.webhooks, now, place),
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

fn added_text(added: &AddedWebhook, now: u64, place: &str) -> String {
    let mut text = facts(&added.webhook, now);
    let id = &added.webhook.id;
    // Writing to a string does not fail.
    let _ = match &added.secret {
        Some(secret) => writeln!(
            text,
            "  Secret   {secret}\n\n  Copy the secret now, because it is not shown again.\n  The receiver checks with \
             it that messages are genuine.\n  Send a sample: scim webhook test {id}{place}"
        ),
        None => writeln!(
            text,
            "\n  This webhook exists already. Its secret is not shown again.\n  To make another one: \
             scim webhook rotate {id}{place}"
        ),
    };
    for note in &added.notes {
        let _ = writeln!(text, "\n  Note: {note}");
    }
    text
}

fn list_text(webhooks: &[Webhook], now: u64, place: &str) -> String {
    if webhooks.is_empty() {
        return format!("There are no webhooks; scim webhook add URL{place} adds one\n");
    }
    let row = |webhook: &Webhook| {
        let state = match webhook.disabled {
            None => "active",
            Some(_) => "disabled",
        };
        [
            webhook.id.as_str().to_owned(),
            state.to_owned(),
            relative(webhook.created.0, now),
            tenant(webhook).to_owned(),
        ]
    };
    let note = |webhook: &Webhook| match webhook.types.as_slice() {
        [] => indented([receiver(webhook)]),
        types => indented([receiver(webhook), &types.join(", ")]),
    };
    let rows: Vec<_> = webhooks.iter().map(row).collect();
    let table = table(["ID", "STATE", "ADDED", "TENANT"], &rows);
    with_notes(&table, webhooks.iter().map(note))
}

fn shown_text(shown: &ShownWebhook, now: u64) -> String {
    let mut text = facts(&shown.webhook, now);
    text.push('\n');
    if shown.deliveries.is_empty() {
        text.push_str("  There is no tenant yet\n");
        return text;
    }
    let deliveries = || shown.deliveries.iter();
    let rows: Vec<_> = deliveries().map(|delivery| row(delivery, now)).collect();
    let header = ["TENANT", "STATE", "BEHIND", "LAST SUCCESS", "NEXT ATTEMPT"];
    let notes = deliveries().map(|delivery| failure(delivery, now));
    text + &with_notes(&table(header, &rows), notes)
}

fn row(delivery: &TenantDelivery, now: u64) -> [String; 5] {
    let when = |at: Option<Time>| at.map_or_else(|| "-".to_owned(), |at| relative(at.0, now));
    [
        delivery.tenant.as_str().to_owned(),
        word(delivery.state).to_owned(),
        delivery
            .behind
            .map_or_else(|| "?".to_owned(), |behind| behind.to_string()),
        when(delivery.last_success),
        when(delivery.next_attempt),
    ]
}

/// The lines about the failures of a delivery since its last success.
fn failure(delivery: &TenantDelivery, now: u64) -> String {
    let Some(failure) = &delivery.last_failure else {
        return String::new();
    };
    let (at, first) = (relative(failure.at.0, now), relative(failure.since.0, now));
    let when = match failure.attempts {
        1 => format!("failed {at}:"),
        attempts => format!("failed {at} ({attempts} attempts, the first {first}):"),
    };
    format!("  {when}\n  {}\n", failure.detail)
}

fn rotated_text(rotated: &RotatedSecret, now: u64) -> String {
    let previous = match rotated.previous_until {
        Some(Time(until)) => format!(
            "Messages are also signed with the previous one until\n  {} ({}).",
            time(until),
            relative(until, now)
        ),
        None => {
            "The previous one signs no more messages, a minute from now at the latest.".to_owned()
        }
    };
    format!(
        "  Secret  {}\n\n  Copy the secret now, because it is not shown again.\n  {previous}\n",
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
        "  Id       {}\n  URL      {}\n  Tenant   {}\n  Types    {}\n  From     {from}\n  Added    {}\n  State    {}\n",
        webhook.id,
        receiver(webhook),
        tenant(webhook),
        types(webhook),
        relative(webhook.created.0, now),
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

/// A table with a note below each of its rows, which is lines or nothing.
fn with_notes(table: &str, notes: impl Iterator<Item = String>) -> String {
    // The header has no note.
    let notes = iter::once(String::new()).chain(notes);
    let lines = table.lines().zip(notes);
    lines
        .map(|(line, note)| format!("{line}\n{note}"))
        .collect()
}

/// Lines below a row. What a terminal has no room for is cut off.
fn indented<const N: usize>(texts: [&str; N]) -> String {
    let cut = |text: &str| match text.char_indices().nth(MAX_NOTE) {
        None => format!("  {text}\n"),
        Some(_) => {
            let beginning: String = text.chars().take(MAX_NOTE - 1).collect();
            format!("  {beginning}…\n")
        }
    };
    texts.map(cut).concat()
}
