//! Plays a script: sends its requests in order, and afterwards deletes what they created.

use std::pin::Pin;
use std::time::Duration;

use axum::http::Method;
use serde_json::Value;

use super::super::CommandError;
use super::client::{Answer, Client};
use super::script::{Saved, Script, Step, filled, filled_body};

/// The number of characters of `{{run}}`.
const RUN_CHARACTERS: usize = 8;

/// Plays one script once.
pub(super) struct Player<F> {
    client: Client,
    pause: Duration,
    show: F,
    saved: Saved,
    /// The paths of the resources that were created and not deleted yet, oldest first.
    made: Vec<String>,
}

/// One request, and its answer.
pub(super) struct Exchange {
    /// What the provider does, in words.
    pub(super) does: String,
    /// The method of the request.
    pub(super) method: Method,
    /// Its path below the base URL, without percent-encoding.
    pub(super) path: String,
    /// Its body.
    pub(super) body: Option<Value>,
    /// The status of the answer.
    pub(super) status: u16,
    /// The body of the answer; null if it has none, or not JSON.
    pub(super) answer: Value,
}

impl<F: Fn(&Exchange)> Player<F> {
    /// A run that calls `show` after each request, and waits `pause` between two.
    pub(super) fn new(client: Client, pause: Duration, show: F) -> Self {
        let character = |_| fastrand::char('a'..='z');
        let run = (0..RUN_CHARACTERS).map(character).collect();
        Self {
            client,
            pause,
            show,
            saved: Saved::from([("run".to_owned(), run)]),
            made: Vec::new(),
        }
    }

    /// Sends the requests of a script until one is refused, or until `end` is there. A request that was begun is
    /// not given up, so that what it creates can be deleted.
    pub(super) async fn play<E>(
        &mut self,
        script: &Script,
        mut end: Pin<&mut E>,
    ) -> Result<(), CommandError>
    where
        E: Future<Output = ()>,
    {
        for (index, step) in script.steps.iter().enumerate() {
            let pause = match index {
                0 => Duration::ZERO,
                _ => self.pause,
            };
            tokio::select! {
                biased;
                () = end.as_mut() => return Err(CommandError::new("interrupted")),
                () = tokio::time::sleep(pause) => self.step(step).await?,
            }
        }
        Ok(())
    }

    /// Deletes what was created, newest first: groups before their members. A deletion that fails does not stop
    /// the others.
    pub(super) async fn clean_up(&mut self) -> Result<(), CommandError> {
        let mut outcome = Ok(());
        while let Some(path) = self.made.pop() {
            let deleted = self.send("cleans up", Method::DELETE, path, None).await;
            outcome = outcome.and(deleted.map(|_| ()));
        }
        outcome
    }

    async fn step(&mut self, step: &Step) -> Result<(), CommandError> {
        let path = filled(&step.path, &self.saved);
        let body = step.body.as_ref();
        let body = body.map(|body| filled_body(body, &self.saved));
        let method = Method::from_bytes(step.method.as_bytes());
        let method =
            method.map_err(|error| CommandError::new(format!("{}: {error}", step.method)))?;
        let is_deletion = method == Method::DELETE;
        let answer = self.send(&step.does, method, path.clone(), body).await?;
        if is_deletion {
            self.made.retain(|made| *made != path);
        }
        if let Some(name) = &step.save {
            let id = answer["id"].as_str();
            let id = id.ok_or_else(|| failed(&step.does, "the answer has no id"))?;
            self.made.push(format!("{path}/{id}"));
            self.saved.insert(name.clone(), id.to_owned());
        }
        let found = &answer["totalResults"];
        match step.found {
            Some(expected) if found.as_u64() != Some(expected) => {
                let detail = format!("it found {found} instead of {expected}");
                Err(failed(&step.does, &detail))
            }
            _ => Ok(()),
        }
    }

    /// Sends a request, shows it, and returns the body of the answer.
    async fn send(
        &self,
        does: &str,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Result<Value, CommandError> {
        let Answer {
            status,
            body: answer,
        } = self.client.send(&method, &path, body.as_ref()).await?;
        let exchange = Exchange {
            does: does.to_owned(),
            method,
            path,
            body,
            status,
            answer,
        };
        (self.show)(&exchange);
        match status {
            200..=299 => Ok(exchange.answer),
            _ => Err(refused(&exchange)),
        }
    }
}

/// The error of a request that was refused, with the reason that the server gave.
fn refused(exchange: &Exchange) -> CommandError {
    let answer = &exchange.answer;
    // SCIM 1.1 has the reason elsewhere.
    let reason = answer["detail"].as_str();
    let reason = reason.or_else(|| answer["Errors"][0]["description"].as_str());
    let status = exchange.status;
    let detail = match reason {
        Some(reason) => format!("the server answered {status}: {reason}"),
        None => format!("the server answered {status}"),
    };
    failed(&exchange.does, &detail)
}

fn failed(does: &str, detail: &str) -> CommandError {
    let text = format!("{does}: {detail}");
    // One line, and nothing in it that a terminal would obey: the server wrote a part of it.
    let is_control = |c: char| c.is_control();
    CommandError::new(text.replace(is_control, " "))
}
