//! Sends events to an event bus (Amazon EventBridge).
//!
//! EventBridge accepts or refuses each entry of a call by itself. The entries that it refuses are sent
//! again, before any entry that comes later in the feed.

mod entry;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::{ProvideErrorMetadata, SdkError};
use scim_lambda::feed::Event;
use tokio::time::{Instant, sleep, timeout_at};

use entry::{Entry, fitting};

/// The longest time of one attempt to send a batch, with all its calls.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How long the first pause is before refused entries are sent again. It doubles while the bus accepts
/// no entry of a call.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest text of an error code that is passed on, in characters.
const MAX_CODE_CHARACTERS: usize = 64;

/// Why EventBridge did not accept a batch: an error code of its API, such as `ThrottlingException`.
///
/// Its messages are not passed on, because they may repeat parts of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
}

/// An event bus.
pub(crate) struct EventBus {
    client: Client,
    /// The name or the ARN of the bus.
    bus: String,
    /// The source of every event: `scim.{stack}`.
    source: String,
}

/// What to do about an entry that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// To send it again after a pause.
    Wait,
    /// To send a reference to the event.
    Refer,
    /// Nothing in this attempt.
    GiveUp,
}

impl EventBus {
    /// The bus of this name or ARN, for the events of a stack.
    pub(crate) fn new(sdk: &SdkConfig, bus: &str, stack: &str) -> Self {
        Self {
            client: Client::new(sdk),
            bus: bus.to_owned(),
            source: format!("scim.{stack}"),
        }
    }

    /// Puts events on the bus, all of which are behind the position `after` in the feed of one tenant.
    /// Returns when the bus has accepted every one of them. An event may arrive more than once.
    ///
    /// # Errors
    /// [`Refusal`] if the bus has not accepted all of them in ten seconds, or refuses one for good.
    pub(crate) async fn put(&self, events: &[Event], after: Option<&str>) -> Result<(), Refusal> {
        let deadline = Instant::now() + ATTEMPT;
        let mut rest: VecDeque<Entry> = events
            .iter()
            .map(|event| Entry::new(event, after))
            .collect();
        let mut pause = FIRST_PAUSE;
        while !rest.is_empty() {
            let call: Vec<Entry> = rest.drain(..fitting(&rest)).collect();
            let sent = timeout_at(deadline, self.call(&call)).await;
            let refused = sent.map_err(|_| Refusal::new("Timeout"))??;
            let Some((_, last)) = refused.last() else {
                pause = FIRST_PAUSE;
                continue;
            };
            if Instant::now() + pause >= deadline {
                return Err(last.clone());
            }
            sleep(pause).await;
            pause = match refused.len() < call.len() {
                true => FIRST_PAUSE,
                false => pause * 2,
            };
            // Back to the front, in their order, so that no later event overtakes them.
            for (place, refusal) in refused.into_iter().rev() {
                rest.push_front(refusal.remedied(&call[place])?);
            }
        }
        Ok(())
    }

    /// Makes one call. Returns the places of the entries that were refused, and why.
    async fn call(&self, entries: &[Entry]) -> Result<Vec<(usize, Refusal)>, Refusal> {
        let call = entries
            .iter()
            .fold(self.client.put_events(), |call, entry| {
                call.entries(entry.to_sdk(&self.bus, &self.source))
            });
        let answer = call.send().await;
        let answer = answer.map_err(|error| {
            // A call that no service has answered has no code.
            let without_code = match error {
                SdkError::TimeoutError(_) => "Timeout",
                _ => "Unreachable",
            };
            Refusal::new(error.code().unwrap_or(without_code))
        })?;
        if answer.entries().len() != entries.len() {
            return Err(Refusal::new("IncompleteAnswer"));
        }
        let results = answer.entries().iter().enumerate();
        let refused =
            results.filter_map(|(place, result)| Some((place, Refusal::new(result.error_code()?))));
        Ok(refused.collect())
    }
}

impl Refusal {
    fn new(code: &str) -> Self {
        let is_usual = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
        let code = code.chars().filter(is_usual).take(MAX_CODE_CHARACTERS);
        Self {
            code: code.collect(),
        }
    }

    /// The entry to send in place of one that was refused like this.
    ///
    /// # Errors
    /// The refusal, if no other entry helps.
    fn remedied(self, entry: &Entry) -> Result<Entry, Self> {
        match self.remedy() {
            Remedy::Wait => Ok(entry.clone()),
            Remedy::Refer => entry.as_reference().ok_or(self),
            Remedy::GiveUp => Err(self),
        }
    }

    /// What helps, by the list of error codes of `PutEventsResultEntry`.
    fn remedy(&self) -> Remedy {
        match self.code.as_str() {
            // Something in the event itself: one event is not to hold up all that come after it.
            "InvalidArgument" | "MalformedDetail" | "RedactionFailure" => Remedy::Refer,
            "AccessDeniedException"
            | "InvalidAccountIdException"
            | "NotAuthorizedForSourceException"
            | "NotAuthorizedForDetailTypeException" => Remedy::GiveUp,
            // `ThrottlingException`, `InternalFailure`, and what is not on the list.
            _ => Remedy::Wait,
        }
    }
}
