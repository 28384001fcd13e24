//! The operations of `scim_lambda::admin`, for programs that invoke the function.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use scim_lambda::admin::Admin;
use scim_lambda::outgoing::Reach;
use scim_lambda::protocol::error::Result;
use scim_lambda::stack::{Config, Stack};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::Instant;

/// After this time of a minute the purge begins nothing more.
const PURGE: Duration = Duration::from_secs(40);

/// What the function works with.
pub(crate) struct Operations {
    admin: Admin,
}

/// The payload of an invocation: a request as `Admin` reads it, which checks its length first.
///
/// It is kept as text, because every fault of a request has its answer. A payload that the runtime could not read
/// would be an error of the function, which Lambda counts as a failure of the service.
pub(crate) struct AdminEvent(Option<Box<RawValue>>);

impl Operations {
    /// The operations on the deployment that the environment describes.
    ///
    /// # Errors
    /// `InvalidValue` naming a variable that is missing; `Internal` if there is no usable stack secret, `Unavailable`
    /// if it cannot be read.
    pub(crate) async fn open(sdk: &SdkConfig) -> Result<Self> {
        let stack = Stack::open(Config::from_environment()?, sdk).await?;
        let admin = stack.admin(Reach::Public, Arc::new(stack.provider()));
        Ok(Self { admin })
    }

    /// The answer to a request, or to the schedule.
    ///
    /// # Errors
    /// `Unavailable` if a purge of the schedule could not go on. A request always has an answer.
    pub(crate) async fn answer(&self, event: &AdminEvent) -> Result<Value> {
        if !event.is_of_schedule() {
            return Ok(self.admin.answer(event.text().as_bytes()).await);
        }
        // What the time does not suffice for is left to the next minute.
        let ended = self.admin.purge(Instant::now() + PURGE).await?;
        Ok(json!({"purged": ended}))
    }
}

impl AdminEvent {
    /// Whether it comes from the schedule in `template.yaml`. A caller that sends the same only has the purge look
    /// earlier.
    fn is_of_schedule(&self) -> bool {
        // The service that sends the event may write the JSON with other blanks.
        let text: String = self.text().split_ascii_whitespace().collect();
        text == r#"{"schedule":"purge"}"#
    }

    /// The text; empty for what is not JSON.
    fn text(&self) -> &str {
        self.0.as_deref().map_or("", RawValue::get)
    }
}

impl<'de> Deserialize<'de> for AdminEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Lambda lets only JSON through. An emulator of it may not, and gets the same answer as for a wrong request.
        Ok(Self(Box::deserialize(deserializer).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_of_the_template_is_recognised() {
        let template = include_str!("../../../template.yaml");
        let inputs = template
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Input: '"));
        let inputs: Vec<&str> = inputs.map(|input| input.trim_end_matches('\'')).collect();
        assert_eq!(inputs.len(), 1);
        let event: AdminEvent = serde_json::from_str(inputs[0]).unwrap();
        assert!(event.is_of_schedule());
    }

    #[test]
    fn every_payload_is_an_event() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for text in [r#"{"op":"webhook.list"}"#, "null", "7", &deep] {
            let event: AdminEvent = serde_json::from_str(text).unwrap();
            assert_eq!(event.text(), text);
        }
        for bytes in [&b""[..], b"{", b"no JSON", b"\"\xff\""] {
            // The runtime reads it like this.
            let event = AdminEvent::deserialize(&mut serde_json::Deserializer::from_slice(bytes));
            assert_eq!(event.unwrap().text(), "");
        }
    }
}
